//! Whether memory grows from swap to swap: what is resident once a version answers and the one before is gone.

use std::error::Error;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use serde_json::json;

use crate::bench::Bench;
use crate::beside::rest;
use crate::cpu::resident_kib;
use crate::figures::slope;
use crate::onnx::{self, HeavyAdder};
use crate::swapping::is_answering;
use crate::trial::{Trial, until};

/// Of this scene.
pub(crate) const NAME: &str = "resident memory over many hot swaps";

const MODEL: &str = "swapped-for-memory";

/// In which the version before is freed.
const FREED: Duration = Duration::from_millis(200);

/// One swap after the other; nobody else asks meanwhile.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Box<dyn Error>> {
    let mebibytes = bench.sizes.swapped_mebibytes;
    let trial = Trial { client: bench.client, ours: bench.ours, model: MODEL };
    let mut resident = Vec::new();
    for version in 1..=bench.sizes.memory_swaps + 1 {
        trial.put_with(&format!("{version}.onnx"), |file| write(file, version, mebibytes))?;
        until(&format!("version {version} answers"), || is_answering(&trial, version))?;
        rest(FREED)?;
        resident.push(resident_kib() as f64);
    }
    let second_half = &resident[resident.len() / 2..];
    let [whole, settled] = [&resident[..], second_half].map(|part| slope(part).unwrap_or(0.0));
    let (first, last) = (resident[0], resident[resident.len() - 1]);
    println!(
        "\n{NAME} ({} swaps of {mebibytes} MiB)\n\
         {:.0} MiB after the first version, {:.0} MiB after the last\n\
         growth per swap: {whole:.1} KiB, over the second half {settled:.1} KiB",
        bench.sizes.memory_swaps,
        first / 1024.0,
        last / 1024.0
    );
    bench.report.add_figures(
        NAME,
        json!({
            "mebibytes": mebibytes,
            "resident_kib": resident,
            "slope_kib_per_swap": whole,
            "slope_kib_per_swap_of_second_half": settled,
        }),
    );
    Ok(())
}

/// A version has its number at the end, so that no content is known already.
fn write(file: &mut File, version: u32, mebibytes: u64) -> std::io::Result<()> {
    const DOC_STRING: u8 = 6;
    let model = HeavyAdder::new(1.0, mebibytes);
    file.write_all(&model.beginning)?;
    file.set_len(model.length)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(&onnx::text(DOC_STRING, &format!("version {version}")))
}
