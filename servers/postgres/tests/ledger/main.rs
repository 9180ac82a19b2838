//! The ledger in PostgreSQL, on databases that the tests start themselves. Without PostgreSQL each
//! says by name that it was passed over; with `BUSLOAD_REQUIRE_INTEROP=1` that is a failure.

mod exactly_once;
mod faults;
mod load;
mod power_cut;
mod proxy;
mod settings;
mod several_writers;
mod standby;
#[path = "../support/mod.rs"]
mod support;
