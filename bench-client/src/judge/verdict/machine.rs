//! What a row says about the machine it ran on.

use super::warning;
use crate::host::environment::{EnvironmentWarning, EnvironmentWarningCode};
use crate::record::{ProcessorSpeed, Throttled, Verdict, VerdictCode};

/// Client and server in the same control group are told of once.
pub(in crate::judge) fn throttled(client: Option<Throttled>, server: Option<Throttled>) -> Verdict {
    let told = |who: &str, one: Throttled| {
        format!(
            "the CPU quota kept {who} from running in {} of {} periods, for {:.2} s summed \
             over cores",
            one.throttled_periods, one.periods, one.seconds
        )
    };
    let found = match (client, server) {
        (Some(client), Some(server)) if client == server => {
            vec![told("client and server", client)]
        }
        (client, server) => {
            let client = client.map(|one| told("the client", one));
            let server = server.map(|one| told("the server", one));
            client.into_iter().chain(server).collect()
        }
    };
    warning(
        VerdictCode::Throttled,
        found.join("; "),
        "raise or remove the quota of the container (docker --cpus, a CPU limit of \
         Kubernetes), or compare only with rows under the same one",
    )
}

pub(in crate::judge) fn processor_slowed(speed: &ProcessorSpeed) -> Verdict {
    let share = |of: f64| of / speed.best * 100.0;
    warning(
        VerdictCode::ProcessorSlowed,
        format!(
            "a core computed at {:.0} % of its best before the row and at {:.0} % after it: \
             something else used it, or its clock was lower",
            share(speed.before),
            share(speed.after)
        ),
        "repeat when the machine is quieter, or compare sides in turn (compare)",
    )
}

/// The verdict that a warning about the environment becomes.
#[must_use]
pub fn of_environment(found: &EnvironmentWarning) -> Verdict {
    let code = match found.code {
        EnvironmentWarningCode::Tmpfs => VerdictCode::Tmpfs,
        EnvironmentWarningCode::Overlay => VerdictCode::Overlay,
        EnvironmentWarningCode::Preloaded => VerdictCode::Preloaded,
        _ => VerdictCode::Environment,
    };
    warning(code, found.message.clone(), &found.remedy)
}
