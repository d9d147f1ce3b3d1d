# Everyday commands.

default:
    @just --list

build:
    cargo build --workspace

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

test:
    scripts/test

# Writes docs/reference anew: options, actions and statuses from the sources.
reference:
    UPDATE=1 cargo test -p cluster-plan --test reference

up *args:
    scripts/up {{args}}

down *args:
    scripts/down {{args}}

# All benches in a short form, a quarter of an hour; tables and plots go to docs/.
bench: (benches "target/bench-short" "2" "3" "1,3" "20")

# All benches with as many runs as the targets ask for: about an hour and a half.
bench-long: (benches "target/bench" "5" "30" "1,3,5,9" "100")

[private]
benches folder runs failures units relations:
    BENCH_FOLDER={{folder}} benches/deploy {{runs}}
    BENCH_FOLDER={{folder}} benches/hooks --runs {{runs}} --units {{units}} --relations {{relations}}
    BENCH_FOLDER={{folder}} benches/config --runs {{runs}} --kills {{failures}}
    benches/failover --runs {{failures}} --faults postgres,pod,removal --out {{folder}}/failover.json
    BENCH_FOLDER={{folder}} benches/report

# An update-status hook over what a Python charm imports; needs scripts/up.
bench-hook:
    benches/run

# Faults under load for so many hours, from this seed on; the report goes to target/soak/.
soak hours="1" seed="1":
    python3 tests/faults.py --hours {{hours}} --seed {{seed}} --seconds 300

# How long writes stop when the primary is lost, over bare Patroni.
bench-failover runs="5":
    benches/failover --runs {{runs}}
