use super::*;

fn scratch() -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::at(folder.path());
    (folder, project)
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

const PLENTY: Duration = Duration::from_mins(1);

#[test]
fn both_streams_reach_the_log() {
    let (_folder, project) = scratch();
    let log = Step::new("Two streams", shell("echo out; echo err >&2"), PLENTY).run(&project).unwrap();
    assert!(log.ends_with("target/xtask/two-streams.log"));
    assert_eq!(fs::read_to_string(log).unwrap(), "out\nerr\n");
}

#[test]
fn a_failure_names_step_command_status_log_and_last_lines() {
    let (_folder, project) = scratch();
    let script = "for i in $(seq 1 40); do echo line $i; done; exit 3";
    let error = Step::new("count", shell(script), PLENTY).run(&project).unwrap_err().to_string();
    for part in ["step `count`", "exit status: 3", "sh -c", "target/xtask/count.log", "line 11", "line 40"] {
        assert!(error.contains(part), "no `{part}` in: {error}");
    }
    assert!(!error.contains("| line 10\n"), "more than the last lines: {error}");
}

#[test]
fn a_command_over_its_limit_is_killed_with_its_children() {
    let (folder, project) = scratch();
    let pid_file = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
    let mut step = Step::new("hang", shell(&script), Duration::from_secs(3));
    let ended = step.run_to_end(&project).unwrap();
    assert!(ended.status.is_none());
    let pid = fs::read_to_string(pid_file).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(" Z "), "the child still runs: {stat}");
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let (_folder, project) = scratch();
    let error = Step::new("x", Command::new("no-such-program-here"), PLENTY).run(&project).unwrap_err();
    assert!(format!("{error:#}").contains("no-such-program-here"), "{error:#}");
}

#[test]
fn a_command_line_can_be_typed_again() {
    let mut command = Command::new("cargo");
    command.args(["test", "two words", "it's", ""]);
    assert_eq!(command_line(&command), r"cargo test 'two words' 'it'\''s' ''");
}

#[test]
fn the_text_of_a_failing_command_is_still_its_text() {
    assert_eq!(text_of(shell("echo 4.1; exit 1")).unwrap(), "4.1\n");
    assert!(text_of(Command::new("no-such-program-here")).is_none());
}
