//! Pairs of columns on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{BackendError, Outer, Pairs, Triangle, expect};
use ptx::kernels::pairs::order;
use ptx::list::{Address, launch};

/// One factor of [`Cuda::products`]: where it is, and how many pairs lie between its neighbours along the result and along
/// the terms.
struct Factor {
    at: Address<f32>,
    edge: u32,
    term: u32,
}

impl Cuda {
    /// Products of two factors, channel by channel; `order` in a causal triangle.
    fn products(
        &self,
        rules: &Triangle,
        order: u32,
        a: &Factor,
        b: &Factor,
        out: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        let (len, channels) = (rules.len as u32, rules.channels as u32);
        let order = if rules.causal { order } else { order::ALL };
        let launch = launch::triangle(
            len,
            channels,
            order,
            rules.scale,
            a.at,
            a.edge,
            a.term,
            b.at,
            b.term,
            b.edge,
            out.address(),
        );
        // SAFETY: the callers have checked the lengths.
        unsafe { self.launch(&launch) }
    }
}

/// The shares of the pairs: an address or none, and what stands for all where there is none.
fn shares(sizes: Outer, shares: Option<&CudaBuffer<f32>>) -> (Address<f32>, f32) {
    (shares.map_or(Address::new(0), CudaBuffer::address), 1.0 / sizes.rows as f32)
}

impl Pairs for Cuda {
    fn outer_mean(
        &self,
        sizes: Outer,
        a: &CudaBuffer<f32>,
        b: &CudaBuffer<f32>,
        by: Option<&CudaBuffer<f32>>,
        out: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        sizes.check([a.len(), b.len()], by.map(CudaBuffer::len), out.len())?;
        let (rows, len, channels) = (sizes.rows as u32, sizes.len as u32, sizes.channels as u32);
        let (by, mean) = shares(sizes, by);
        let (a, b, out) = (a.address(), b.address(), out.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::outer_mean(rows, len, channels, a, b, by, mean, out)) }
    }

    fn outer_mean_back(
        &self,
        sizes: Outer,
        a: &CudaBuffer<f32>,
        b: &CudaBuffer<f32>,
        by: Option<&CudaBuffer<f32>>,
        d_out: &CudaBuffer<f32>,
        [d_a, d_b]: [&mut CudaBuffer<f32>; 2],
    ) -> Result<(), BackendError> {
        sizes.check([a.len(), b.len()], by.map(CudaBuffer::len), d_out.len())?;
        expect("length of a gradient", d_a.len(), sizes.factors())?;
        expect("length of a gradient", d_b.len(), sizes.factors())?;
        let (rows, len, channels) = (sizes.rows as u32, sizes.len as u32, sizes.channels as u32);
        let (by, mean) = shares(sizes, by);
        let (a, b, d_out, d_a, d_b) = (a.address(), b.address(), d_out.address(), d_a.address(), d_b.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::outer_mean_back(rows, len, channels, a, b, by, mean, d_out, d_a, d_b)) }
    }

    fn triangle(
        &self,
        rules: &Triangle,
        a: &CudaBuffer<f32>,
        b: &CudaBuffer<f32>,
        out: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        rules.check([("length of a", a.len()), ("length of b", b.len()), ("length of out", out.len())])?;
        let len = rules.len as u32;
        let (a, b) = (Factor { at: a.address(), edge: len, term: 1 }, Factor { at: b.address(), edge: len, term: 1 });
        self.products(rules, order::TERM_COLUMN_ROW, &a, &b, out)
    }

    fn triangle_back(
        &self,
        rules: &Triangle,
        a: &CudaBuffer<f32>,
        b: &CudaBuffer<f32>,
        d_out: &CudaBuffer<f32>,
        [d_a, d_b]: [&mut CudaBuffer<f32>; 2],
    ) -> Result<(), BackendError> {
        rules.check(
            [a.len(), b.len(), d_out.len(), d_a.len(), d_b.len()].map(|len| ("length of a buffer of pairs", len)),
        )?;
        let len = rules.len as u32;
        let terms_of = |at| Factor { at, edge: 1, term: len };
        let d_rows = Factor { at: d_out.address(), edge: len, term: 1 };
        self.products(rules, order::COLUMN_TERM_ROW, &d_rows, &terms_of(b.address()), d_a)?;
        self.products(rules, order::COLUMN_ROW_TERM, &terms_of(d_out.address()), &terms_of(a.address()), d_b)
    }
}
