//! Whether the API server is ready.

use std::time::{Duration, Instant};

use crate::{Cause, Client, KubeError, Trouble, deadline::Deadline, progress::Progress};

/// Asking is cheap while nothing listens, and every millisecond here is one of the whole start.
const STEP: Duration = Duration::from_millis(25);
/// A server that is slow to answer has other work to do: it is left alone for as long, but no longer than this.
const LONGEST_REST: Duration = Duration::from_millis(300);
/// A server that takes longer over one answer is asked anew.
const ONE_ANSWER: Duration = Duration::from_secs(3);
/// The verbose form costs nothing more and names the checks that fail.
const READYZ: &str = "/readyz?verbose";

impl Client {
    /// Asks the API server once whether it is ready.
    ///
    /// # Errors
    /// [`KubeError::Unavailable`] when there is no answer within `timeout`, [`KubeError::NotReady`]
    /// when the answer is no.
    pub async fn readyz(&self, timeout: Duration) -> Result<(), KubeError> {
        let asked = Deadline::after(timeout).limit(timeout, self.get_text(READYZ)).await;
        asked.map(drop).map_err(|trouble| match failing_checks(&trouble) {
            Some(failing) => KubeError::NotReady { failing },
            None => self.unavailable(trouble),
        })
    }

    /// Waits until the API server says that it is ready.
    ///
    /// # Errors
    /// The last answer when `patience` is over. Certificates that do not match end the wait at once.
    pub async fn wait_ready(&self, patience: Duration) -> Result<(), KubeError> {
        let (deadline, mut progress) = (Deadline::after(patience), Progress::default());
        loop {
            let asked = Instant::now();
            let trouble = match deadline.limit(ONE_ANSWER, self.get_text(READYZ)).await {
                Ok(_) => return Ok(()),
                Err(trouble @ Trouble::Untrusted { .. }) => return Err(self.unavailable(trouble)),
                Err(trouble) => trouble,
            };
            // It gets further check by check.
            if failing_checks(&trouble).is_some_and(|failing| progress.sign(&format!("{failing:?}"))) {
                deadline.progress();
            }
            if deadline.left() <= STEP {
                let cause = match failing_checks(&trouble) {
                    Some(failing) => Cause::ChecksFail { failing },
                    None => Cause::Api(trouble),
                };
                let what = format!("readiness of the API server at {}", self.server());
                return Err(KubeError::not_in_time(what, deadline.patience(), Some(cause)));
            }
            deadline.rest(rest(asked.elapsed())).await;
        }
    }

    /// Waits until the API server answers at all, which it does before it is ready. False if it did not
    /// while `patience` lasted; [`wait_ready`](Self::wait_ready) tells why.
    pub async fn wait_serving(&self, patience: Duration) -> bool {
        let deadline = Deadline::after(patience);
        while deadline.left() > STEP {
            let asked = Instant::now();
            match deadline.limit(ONE_ANSWER, self.get_text(READYZ)).await {
                Ok(_) | Err(Trouble::Answer { .. }) => return true,
                Err(_) => deadline.rest(rest(asked.elapsed())).await,
            }
        }
        false
    }

    /// The version of Kubernetes, e.g. `v1.20.2`.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn server_version(&self) -> Result<String, KubeError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        let version = Deadline::after(ONE_ANSWER).limit(ONE_ANSWER, self.get::<Version>("/version")).await;
        version.map(|version| version.git_version).map_err(|trouble| self.unavailable(trouble))
    }
}

/// How long to rest after an answer, or none, that took so long.
fn rest(answer: Duration) -> Duration {
    answer.clamp(STEP, LONGEST_REST)
}

/// The checks that fail, if the answer is a list of checks.
fn failing_checks(trouble: &Trouble) -> Option<Vec<String>> {
    let Trouble::Answer { message, .. } = trouble else { return None };
    let failing: Vec<_> = message
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .map(|line| line.split(" failed").next().unwrap_or(line).to_owned())
        .collect();
    (!failing.is_empty()).then_some(failing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_checks_are_named() {
        let message = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac/bootstrap-roles failed: x\n";
        let trouble = Trouble::Answer { code: 500, reason: String::new(), message: message.to_owned() };
        assert_eq!(failing_checks(&trouble).unwrap(), ["etcd", "poststarthook/rbac/bootstrap-roles"]);
    }

    #[test]
    fn a_server_that_answers_slowly_is_asked_less_often() {
        let millis = Duration::from_millis;
        assert_eq!([1, 50, 3000].map(|answer| rest(millis(answer))), [25, 50, 300].map(millis));
    }

    #[test]
    fn other_answers_have_no_checks() {
        let trouble = Trouble::Answer { code: 403, reason: String::new(), message: "forbidden".to_owned() };
        assert_eq!(failing_checks(&trouble), None);
        assert_eq!(failing_checks(&Trouble::slow()), None);
    }
}
