//! The operator binary that Juju dispatches for every hook and action.
fn main() {}
