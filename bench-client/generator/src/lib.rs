//! The load generator: from a [`workload`] over [`load`] and a [`connector`] to a server, which
//! [`target`] has started, and back.

pub mod connector;
pub mod control;
pub mod load;
pub mod target;
pub mod workload;

use busload_record::{config, record, with_causes};
