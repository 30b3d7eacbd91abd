//! Versions that come and go leave no memory behind.

use std::time::{Duration, Instant};

use crate::support::{HeavyAdder, Models, TestServer, adder, is_long, resident_mib, within};

const PATIENCE: Duration = Duration::from_secs(60);
const SIZE_MIB: u64 = 100;

/// Waits until nothing is loaded but the version that answers and the one before it.
fn only_two_are_loaded(server: &TestServer, version: usize) {
    let expected = [format!("{} ready previous", version - 1), format!("{version} ready stable")];
    within(PATIENCE, "the older versions are unloaded", || {
        let versions = server.versions("m");
        let is_loaded =
            |version: &&String| !version.contains(" unloaded ") && !version.contains(" found ");
        versions.iter().filter(is_loaded).eq(&expected).then_some(())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn swaps_of_a_large_model_leave_the_memory_as_it_was() {
    let swaps = if is_long() { 200 } else { 40 };
    // Each version takes the disk for as long as it is kept.
    let plan = TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0)));
    let server = plan.settings("repository.keep_revisions = 2").start();
    let began = Instant::now();
    let resident: Vec<f64> = (1..=swaps)
        .map(|swap| {
            let version = swap + 1;
            let model = HeavyAdder::new(version as f32, SIZE_MIB);
            server.put_heavy(&format!("m/{version}.onnx"), &model);
            server.serves("m", &version.to_string(), version as f64);
            only_two_are_loaded(&server, version);
            resident_mib(server.pid(), "VmRSS")
        })
        .collect();
    let took = began.elapsed();
    let shown: Vec<String> = resident.iter().map(|mib| format!("{mib:.0}")).collect();
    println!("{swaps} swaps in {took:?}; resident memory after each, MiB: {}", shown.join(" "));
    let (settled, rest) = (resident[4], &resident[5..]);
    // Two versions are in memory, or it is not they that were measured.
    assert!(settled > 2.0 * SIZE_MIB as f64, "{settled} MiB");
    for (swap, mib) in (6..).zip(rest) {
        let change = mib / settled - 1.0;
        assert!(change.abs() < 0.1, "{mib} MiB after swap {swap}, {settled} MiB after swap 5");
    }
}
