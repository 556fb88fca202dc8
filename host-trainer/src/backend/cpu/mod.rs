//! Operations in threads of this process.

mod attention;
mod gates;
mod losses;
mod low_rank;
mod matmul;
mod memories;
mod norms;
mod optimisers;
mod pairs;
mod quantise;
mod reductions;
mod softmax;
mod sparse;
mod vectors;

use super::{BackendError, Device, Element};
use std::time::Instant;

/// The CPU.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    threads: usize,
}

impl Cpu {
    /// So many threads; results do not depend on their number.
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1) }
    }

    /// Calls `work` with every item, and with what it may keep from one to the next: each thread has its own of that.
    pub(super) fn each_of<F: Send, S: Default>(&self, items: impl Iterator<Item = F>, work: impl Fn(F, &mut S) + Sync) {
        let mut items: Vec<F> = items.collect();
        let share = items.len().div_ceil(self.threads);
        std::thread::scope(|scope| {
            while !items.is_empty() {
                let part = items.split_off(items.len().saturating_sub(share));
                let work = &work;
                scope.spawn(move || {
                    let mut kept = S::default();
                    part.into_iter().for_each(|item| work(item, &mut kept));
                });
            }
        });
    }

    /// Cuts `out` into as many runs of whole rows as there are threads, and calls `work` with the first row and the rows of
    /// each.
    pub(super) fn rows<T: Send>(&self, out: &mut [T], columns: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        let rows = out.len() / columns.max(1);
        let share = rows.div_ceil(self.threads).max(1);
        if share >= rows {
            return work(0, out);
        }
        std::thread::scope(|scope| {
            for (i, part) in out.chunks_mut(share * columns).enumerate() {
                let work = &work;
                scope.spawn(move || work(i * share, part));
            }
        });
    }
}

impl Device for Cpu {
    type Buffer<T: Element> = Vec<T>;

    fn name(&self) -> String {
        format!("CPU, {} thread{}", self.threads, if self.threads == 1 { "" } else { "s" })
    }

    fn upload<T: Element>(&self, data: &[T]) -> Result<Vec<T>, BackendError> {
        Ok(data.to_vec())
    }

    fn zeros<T: Element>(&self, len: usize) -> Result<Vec<T>, BackendError> {
        Ok(vec![T::default(); len])
    }

    fn download<T: Element>(&self, buffer: &Vec<T>) -> Result<Vec<T>, BackendError> {
        Ok(buffer.clone())
    }

    fn len<T: Element>(&self, buffer: &Vec<T>) -> usize {
        buffer.len()
    }

    fn seconds(&self, work: &mut dyn FnMut() -> Result<(), BackendError>) -> Result<f64, BackendError> {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64())
    }
}
