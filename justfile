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

up *args:
    scripts/up {{args}}

down *args:
    scripts/down {{args}}

bench:
    benches/run

# Faults under load for so many hours, from this seed on; the report goes to target/soak/.
soak hours="1" seed="1":
    python3 tests/faults.py --hours {{hours}} --seed {{seed}} --seconds 300

# How long writes stop when the primary is lost, over bare Patroni.
bench-failover runs="5":
    benches/failover --runs {{runs}}
