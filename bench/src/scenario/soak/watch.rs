//! What the host holds, sample by sample: memory, files, threads, and its own gauges.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    host::Host,
    process::{Held, Meter, Sample as Cpu},
};

/// Between two looks while the host comes to rest.
const LOOK: Duration = Duration::from_millis(500);

pub struct Watch<'a> {
    host: &'a Host,
    meter: Meter,
    begun: Instant,
    cpu: Cpu,
    pub samples: Samples,
}

#[derive(Debug, Default)]
pub struct Samples {
    /// Before anybody came.
    pub before: Sample,
    /// While the load was on.
    pub during: Vec<Sample>,
    /// After everybody had left.
    pub after: Option<Sample>,
}

#[derive(Debug, Clone, Default)]
pub struct Sample {
    pub minutes: f64,
    pub held: Held,
    /// Cores since the sample before it.
    pub cores: f64,
    pub gauges: BTreeMap<String, f64>,
}

impl<'a> Watch<'a> {
    pub fn begin(host: &'a Host) -> anyhow::Result<Self> {
        let meter = Meter::new(host.id());
        let (begun, cpu) = (Instant::now(), meter.sample()?);
        let before = Sample { minutes: 0.0, held: meter.held()?, cores: 0.0, gauges: host.gauges()? };
        Ok(Self { host, meter, begun, cpu, samples: Samples { before, during: Vec::new(), after: None } })
    }

    pub fn look(&mut self) -> anyhow::Result<()> {
        let sample = self.sample().with_context(|| {
            format!("the host cannot be looked at any more; if it has ended, this is why: {}", self.host.log())
        })?;
        self.samples.during.push(sample);
        Ok(())
    }

    /// Waits until the host has no more files open than this beyond those at the start, or for so long.
    pub fn settle(&mut self, limit: Duration, more: u64) -> anyhow::Result<()> {
        let until = Instant::now() + limit;
        while self.meter.held()?.descriptors > self.samples.before.held.descriptors + more && Instant::now() < until {
            thread::sleep(LOOK);
        }
        self.samples.after = Some(self.sample()?);
        Ok(())
    }

    fn sample(&mut self) -> anyhow::Result<Sample> {
        let spent = self.meter.since(&self.cpu)?;
        self.cpu = self.meter.sample()?;
        Ok(Sample {
            minutes: self.begun.elapsed().as_secs_f64() / 60.0,
            held: self.meter.held()?,
            cores: spent.cores(spent.server),
            gauges: self.host.gauges()?,
        })
    }
}

impl Samples {
    /// The last sample, for people.
    pub fn words(&self) -> String {
        let held = self.during.last().unwrap_or(&self.before).held;
        format!("{} MiB, {} files, {} threads", held.resident >> 20, held.descriptors, held.threads)
    }

    /// A figure of the samples under load, over minutes.
    pub fn points(&self, figure: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
        self.during.iter().map(|sample| (sample.minutes, figure(sample))).collect()
    }

    pub fn to_json(&self) -> Value {
        let all = [&self.before].into_iter().chain(&self.during).chain(&self.after);
        all.map(Sample::to_json).collect()
    }
}

impl Sample {
    fn to_json(&self) -> Value {
        json!({ "minutes": self.minutes, "resident": self.held.resident, "descriptors": self.held.descriptors,
            "threads": self.held.threads, "cores": self.cores, "gauges": self.gauges })
    }
}
