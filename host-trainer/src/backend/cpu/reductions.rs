//! Sums and maxima on the CPU.

use super::Cpu;
use crate::backend::{BackendError, Reduction, Reductions, expect};

/// Numbers of a partial sum: of partial sums, so that a long vector loses little more than a short one.
const PART: usize = 256;

fn sum(x: &[f32]) -> f32 {
    x.chunks(PART).map(|part| part.iter().sum::<f32>()).sum()
}

impl Reductions for Cpu {
    fn reduce(&self, reduction: Reduction, x: &Vec<f32>, out: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of out", out.len(), 1)?;
        // Not in threads: the order of the partial sums does not depend on their number.
        out[0] = match reduction {
            Reduction::Sum => sum(x),
            Reduction::Squares => x.chunks(PART).map(|part| part.iter().map(|x| x * x).sum::<f32>()).sum(),
            Reduction::Max => x.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        };
        Ok(())
    }

    fn row_sums(&self, [rows, columns]: [usize; 2], x: &Vec<f32>, out: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), rows * columns)?;
        expect("length of out", out.len(), rows)?;
        self.rows(out, 1, |first, out| {
            for (i, out) in (first..).zip(out) {
                *out = sum(&x[i * columns..][..columns]);
            }
        });
        Ok(())
    }

    fn column_sums(&self, [rows, columns]: [usize; 2], x: &Vec<f32>, out: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), rows * columns)?;
        expect("length of out", out.len(), columns)?;
        self.rows(out, 1, |first, out| {
            let mut sums = vec![0.0; out.len()];
            for row in x.chunks(columns) {
                sums.iter_mut().zip(&row[first..]).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as f32);
        });
        Ok(())
    }
}
