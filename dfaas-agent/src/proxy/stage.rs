//! Stage of a load test, which its clients tell in a header. HAProxy keeps the last one in variables of the process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As long as the original remembers it after the last call.
const LIFETIME: Duration = Duration::from_secs(5);

pub(super) const SHOW_STAGE: &str = "get var proc.stage;get var proc.stage_at";

/// Rules that keep the stage of a request, and the second it came in.
pub(super) fn rules() -> [String; 2] {
    let is_stage = "{ req.hdr(DFaaS-K6-Stage) -m reg ^[0-9]{1,6}$ }";
    ["stage) req.hdr_val(DFaaS-K6-Stage)", "stage_at) date"]
        .map(|set| format!("http-request set-var(proc.{set} if {is_stage}"))
}

/// Reads the answer to [`SHOW_STAGE`]; `None`: no client has said a stage lately.
pub(super) fn read(answer: &str, now: SystemTime) -> Option<u32> {
    let value = |name: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(name))?;
        line.rsplit_once('<')?.1.strip_suffix('>')?.parse::<u32>().ok()
    };
    let said = UNIX_EPOCH + Duration::from_secs(value("proc.stage_at:")?.into());
    // HAProxy cuts the second off. What was said in the future was said before the clock went back.
    let age = now.duration_since(said).ok()?;
    (age < LIFETIME + Duration::from_secs(1)).then(|| value("proc.stage:")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_holds_for_five_seconds_after_the_last_call() {
        // From HAProxy 2.6.12.
        let answer = "proc.stage: type=sint value=<7>\n\nproc.stage_at: type=sint value=<1795562774>\n\n";
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(read(answer, at(1_795_562_774)), Some(7));
        assert_eq!(read(answer, at(1_795_562_779)), Some(7));
        assert_eq!(read(answer, at(1_795_562_780)), None);
        assert_eq!(read(answer, at(1_795_562_774 - 3_600)), None, "the clock went back an hour");
        assert_eq!(read("Variable not found.\n\nVariable not found.\n", at(0)), None);
        assert_eq!(read("proc.stage: type=sint value=<-1>\nproc.stage_at: type=sint value=<5>\n", at(5)), None);
    }
}
