//! `--force`: what does not end in an orderly way within a minute is ended.

use std::sync::Arc;
use std::time::Duration;

use super::daemon::Controller;

/// How long Juju lets everything end by itself before it uses force.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// How a removal deals with what does not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// It waits.
    No,
    /// It ends it after so long.
    After(Duration),
    /// It does not wait at all.
    Now,
}

impl Force {
    /// By the flags `--force` and `--no-wait`.
    pub fn of(force: bool, no_wait: bool) -> Self {
        match (force, no_wait) {
            (false, _) => Self::No,
            (true, false) => Self::After(MAX_WAIT),
            (true, true) => Self::Now,
        }
    }
}

impl Controller {
    /// Ends these relations and units of a model with as much force as was asked for.
    pub(super) async fn force(
        self: &Arc<Self>,
        model: &str,
        relations: Vec<u32>,
        units: Vec<String>,
        force: Force,
    ) {
        match force {
            Force::No => {}
            Force::Now => self.end_now(model, &relations, &units).await,
            Force::After(wait) => {
                // Others that are called so by then are not meant.
                let tokens = self.tokens(model, &units);
                let (own, model) = (self.clone(), model.to_owned());
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let now = own.tokens(&model, &units);
                    let same = units.iter().zip(tokens.iter().zip(&now));
                    let same = same.filter(|(_, (before, now))| before == now);
                    let left: Vec<String> = same.map(|(unit, _)| unit.clone()).collect();
                    own.end_now(&model, &relations, &left).await;
                });
            }
        }
    }

    fn tokens(&self, model: &str, units: &[String]) -> Vec<Option<String>> {
        self.read(|state| {
            let model = state.models.get(model);
            let token = |name: &String| Some(model?.units.get(name)?.token.clone());
            units.iter().map(token).collect()
        })
    }

    async fn end_now(self: &Arc<Self>, model: &str, relations: &[u32], units: &[String]) {
        self.change(|state| {
            if let Some(model) = state.models.get_mut(model) {
                for id in relations {
                    model.end_relation(*id, true);
                }
            }
        });
        for unit in units {
            self.unit_dead(model, unit).await;
        }
    }
}
