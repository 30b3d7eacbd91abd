//! A server that cannot start says why, in words that tell what to do, and ends with code 2.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Models, Plan, Request, Run, TestServer, greenroom, library, package};

fn plan() -> Plan {
    TestServer::with_models(Models::of_the_repository())
}

/// Runs a server that must not start, and gives what it said without the leading `error: `.
#[track_caller]
fn complaint(plan: &Plan) -> String {
    let Run { code, stdout, stderr } = plan.run();
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    // It may have logged before.
    let (_, complaint) = stderr.split_once("error: ").unwrap_or_else(|| panic!("{stderr}"));
    complaint.trim_end().to_owned()
}

/// Fails unless all of these are told, each once.
#[track_caller]
fn assert_told(complaint: &str, parts: &[&str]) {
    let is_told_once = |part: &&str| complaint.matches(*part).count() == 1;
    let others: Vec<_> = parts.iter().filter(|part| !is_told_once(part)).collect();
    assert!(others.is_empty(), "{complaint}\nthat does not tell once: {others:?}");
}

/// What a server says when `library` is the library, which must be told with its place.
#[track_caller]
fn complaint_about(library: &Path) -> String {
    let library = library.to_str().unwrap();
    let complaint = complaint(&plan().flags(&["--onnxruntime", library]));
    let before =
        format!("cannot load ONNX Runtime (1.24 or newer is needed); looked at:\n  {library}: ");
    let after = "\nrun `scripts/onnxruntime` to fetch it, \
                 or name the library with --onnxruntime or ORT_DYLIB_PATH";
    let reason = complaint.strip_prefix(&before).and_then(|rest| rest.strip_suffix(after));
    reason.unwrap_or_else(|| panic!("{complaint}")).to_owned()
}

#[test]
fn a_library_that_is_not_there_is_told() {
    assert_eq!(complaint_about(Path::new("/nope")), "No such file or directory (os error 2)");
}

#[test]
fn a_text_is_no_library() {
    let readme = package().join("models/README.md");
    let reason = complaint_about(&readme);
    assert!(reason.contains("invalid ELF header") || reason.contains("not a mach-o"), "{reason}");
    let short = package().join("tests/models/text.onnx");
    assert_eq!(complaint_about(&short), "not a shared library");
}

#[cfg(target_os = "linux")]
#[test]
fn another_library_is_not_onnx_runtime() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let libc = libc.into_iter().find(|path| path.contains("libc.")).unwrap();
    assert_eq!(complaint_about(Path::new(libc)), "not ONNX Runtime");
}

#[cfg(target_os = "linux")]
#[test]
fn half_a_library_is_incomplete() {
    let folder = TempDir::new().unwrap();
    let half = folder.path().join("libonnxruntime.so");
    let whole = fs::read(library().expect("scripts/onnxruntime fetches the library")).unwrap();
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let expected =
        format!("the library is incomplete: {} of {} bytes", whole.len() / 2, whole.len());
    assert_eq!(complaint_about(&half), expected);
}

#[test]
fn a_library_of_long_ago_is_too_old() {
    const SOURCE: &str = "
        typedef struct { const void *(*GetApi)(unsigned); const char *(*GetVersionString)(void); } Base;
        static const void *get_api(unsigned version) { return 0; }
        static const char *version(void) { return \"1.17.0\"; }
        static const Base base = { get_api, version };
        const Base *OrtGetApiBase(void) { return &base; }
    ";
    let folder = TempDir::new().unwrap();
    let (source, library) = (folder.path().join("old.c"), folder.path().join("libonnxruntime.so"));
    fs::write(&source, SOURCE).unwrap();
    let mut cc = Command::new("cc");
    let compiled = cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    match compiled {
        Ok(status) => assert!(status.success()),
        Err(error) => return println!("skipped, since there is no C compiler: {error}"),
    }
    assert_eq!(complaint_about(&library), "version 1.17.0 is too old");
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let complaint = complaint(&plan().flags(&["--http", &address]));
    let what = format!("cannot listen on {address} for inference");
    assert_told(&complaint, &[&what, "Address already in use", "name another address with --http"]);
}

#[test]
fn a_folder_of_models_that_is_not_there_is_told() {
    let complaint = complaint(&plan().flags(&["--models", "/nope"]));
    let what = "the models' folder `/nope` cannot be read";
    let advice = "create it or name another with --models";
    assert_told(&complaint, &[what, "No such file or directory", advice]);
}

#[test]
fn settings_that_are_named_and_missing_are_told() {
    assert_eq!(
        complaint(&plan().flags(&["--config", "/nope.toml"])),
        "settings file `/nope.toml` does not exist"
    );
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_known_key() {
    let plan = plan().settings("[http]\nmax_body = \"1MiB\"\nmax_boddy = \"1MiB\"\n");
    let file = plan.settings_file().display().to_string();
    assert_eq!(
        complaint(&plan),
        format!("{file}:3: unknown key `http.max_boddy`; did you mean `http.max_body`?")
    );
}

#[test]
fn an_unwritable_state_folder_is_told() {
    let complaint = complaint(&plan().flags(&["--state", "/dev/null/state"]));
    let what = "the state folder `/dev/null/state` cannot be written";
    assert_told(&complaint, &[what, "Not a directory", "name another with --state"]);
}

#[test]
fn an_admin_token_that_cannot_be_read_is_told() {
    let plan = plan().settings("[admin]\ntoken_file = \"none\"");
    let file = plan.settings_file().with_file_name("none").display().to_string();
    let what = format!("the admin token in `{file}` cannot be used");
    assert_told(&complaint(&plan), &[&what, "No such file or directory"]);
}

#[test]
fn a_server_that_did_not_start_is_not_said_to_be_somewhere() {
    let plan = plan().settings("[admin]\ntoken_file = \"none\"");
    complaint(&plan);
    assert!(!plan.state().join("server.json").exists());
}

#[test]
fn the_version_is_told() {
    let run = Run::of(greenroom().arg("--version"));
    let expected = format!("greenroom {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((run.code, run.stdout), (Some(0), expected));
}

#[test]
fn help_tells_every_flag() {
    let run = Run::of(greenroom().arg("--help"));
    assert_eq!(run.code, Some(0));
    let flags = "--models --state --config --http --grpc --admin --onnxruntime --threads --log \
                 --log-level --access-log --metrics-compat";
    for flag in flags.split_whitespace() {
        assert!(run.stdout.contains(&format!("{flag} ")), "{flag} is not in:\n{}", run.stdout);
    }
}

#[test]
fn an_unknown_flag_is_told() {
    let run = Run::of(greenroom().arg("--modles"));
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("'--modles'") && run.stderr.contains("'--models'"), "{run:?}");
}

#[test]
fn an_environment_variable_wins_over_the_file() {
    let plan = plan().settings("[http]\nmax_body = \"1MiB\"");
    let server = plan.environment("GREENROOM_HTTP__MAX_BODY", "100").start();
    let row = r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#;
    assert_eq!(server.predict("iris", row).status, 200);
    let padded = format!("{row}{}", " ".repeat(100));
    assert_eq!(server.predict("iris", &padded).status, 413);
}

#[test]
fn a_flag_wins_over_an_environment_variable() {
    let plan = plan().environment("GREENROOM_HTTP__LISTEN", "192.0.2.1:80");
    assert_eq!(plan.start().ask(&Request::get("/v2/health/live")).status, 200);
}
