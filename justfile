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
