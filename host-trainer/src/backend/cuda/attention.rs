//! Attention on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{Attention, BackendError, Gradients, Heads, Inputs};
use ptx::list::{Address, launch};

/// The kernel for heads of a width.
macro_rules! by_width {
    ($width:expr, $narrow:ident, $middle:ident, $wide:ident) => {
        match $width {
            0..=32 => launch::$narrow,
            33..=64 => launch::$middle,
            _ => launch::$wide,
        }
    };
}

/// The address of a buffer that may not be there.
fn address(buffer: Option<&CudaBuffer<f32>>) -> Address<f32> {
    buffer.map_or(Address::new(0), CudaBuffer::address)
}

impl Cuda {
    /// `parts`, all as long, each times its number, as tensor cores take them. They stay until the next call.
    fn rounded<const N: usize>(&self, parts: [(&CudaBuffer<f32>, f32); N]) -> Result<[Address<u16>; N], BackendError> {
        let len = parts[0].0.len();
        let mut kept = self.rounded.borrow_mut();
        if kept.as_ref().is_none_or(|kept| kept.len() < N * len) {
            *kept = None;
            *kept = Some(self.allocate(N * len)?);
        }
        let start = kept.as_ref().map_or(0, |kept| kept.address().0);
        // Rows are multiples of 16 bytes.
        let to = std::array::from_fn(|part| Address::new(start + 2 * (part * len) as u64));
        for ((x, scale), to) in parts.into_iter().zip(to) {
            // SAFETY: there is room for all parts, and kernels run one after another.
            unsafe { self.launch(&launch::attention_rows((len / 8) as u32, scale, x.address(), to))? };
        }
        Ok(to)
    }
}

impl Attention for Cuda {
    fn attention(
        &self,
        heads: &Heads,
        inputs: &Inputs<'_, CudaBuffer<f32>>,
        out: &mut CudaBuffer<f32>,
        logs: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        heads.check(inputs, CudaBuffer::len)?;
        heads.check_out(out.len(), logs.len())?;
        let shared = inputs.bias.is_some_and(|bias| heads.shares_bias(bias.len()));
        let kernel = by_width!(heads.width, attention_32, attention_64, attention_128);
        let [q, k, v] = self.rounded([(inputs.q, heads.scale), (inputs.k, 1.0), (inputs.v, 1.0)])?;
        let launch = kernel(
            heads.batch as u32,
            heads.heads as u32,
            heads.len as u32,
            heads.width as u32,
            heads.causal.into(),
            shared.into(),
            q,
            k,
            v,
            address(inputs.bias),
            out.address(),
            logs.address(),
        );
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch) }
    }

    fn attention_back(
        &self,
        heads: &Heads,
        inputs: &Inputs<'_, CudaBuffer<f32>>,
        out: &CudaBuffer<f32>,
        logs: &CudaBuffer<f32>,
        d_out: &CudaBuffer<f32>,
        gradients: &mut Gradients<'_, CudaBuffer<f32>>,
    ) -> Result<(), BackendError> {
        heads.check(inputs, CudaBuffer::len)?;
        heads.check_out(out.len(), logs.len())?;
        heads.check_back(inputs, d_out, gradients, CudaBuffer::len)?;
        let (batch, count) = (heads.batch as u32, heads.heads as u32);
        let (len, width, causal) = (heads.len as u32, heads.width as u32, u32::from(heads.causal));
        let shared = inputs.bias.is_some_and(|bias| heads.shares_bias(bias.len()));
        let [q, k, v, slopes] =
            self.rounded([(inputs.q, heads.scale), (inputs.k, 1.0), (inputs.v, 1.0), (d_out, 1.0)])?;
        let (bias, logs) = (address(inputs.bias), logs.address());
        let (scale, d_bias) = (heads.scale, address(gradients.bias.as_deref()));
        let own_bias = if shared { Address::new(0) } else { d_bias };
        let delta = self.allocate::<f32>(heads.rows())?;
        let delta_launch =
            launch::attention_delta(heads.rows() as u32, width, out.address(), d_out.address(), delta.address());
        let delta = delta.address();
        let of_queries = by_width!(width, attention_queries_32, attention_queries_64, attention_queries_128);
        let of_keys = by_width!(width, attention_keys_32, attention_keys_64, attention_keys_128);
        let of_bias = by_width!(width, attention_bias_32, attention_bias_64, attention_bias_128);
        let (dq, dk, dv) = (gradients.q.address(), gradients.k.address(), gradients.v.address());
        let (shared_bias, to) = (u32::from(shared), own_bias);
        let of_queries = of_queries(
            batch,
            count,
            len,
            width,
            scale,
            causal,
            shared_bias,
            q,
            k,
            v,
            bias,
            logs,
            delta,
            slopes,
            dq,
            to,
        );
        let of_keys =
            of_keys(batch, count, len, width, causal, shared_bias, q, k, v, bias, logs, delta, slopes, dk, dv);
        // SAFETY: the lengths have been checked.
        unsafe {
            self.launch(&delta_launch)?;
            self.launch(&of_queries)?;
            self.launch(&of_keys)?;
            if shared && gradients.bias.is_some() {
                self.launch(&of_bias(batch, count, len, width, causal, q, k, v, bias, logs, delta, slopes, d_bias))?;
            }
        }
        Ok(())
    }
}
