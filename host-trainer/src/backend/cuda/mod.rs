//! Operations as kernels on a GPU, launched through `cust`. Nothing of `cust` shows outside of this folder.

// The driver's interface is unsafe; see each use.
#![allow(unsafe_code)]

mod attention;
mod ceilings;
mod driver;
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

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::marker::PhantomData;

use cust::context::Context;
use cust::device::Device as CudaDevice;
use cust::error::CudaError;
use cust::event::{Event, EventFlags};
use cust::memory::{CopyDestination, DeviceBuffer, GpuBuffer};
use cust::module::Module;
use cust::stream::{Stream, StreamFlags};
use cust::sys;
use ptx::list::{Address, Launch};

use super::{BackendError, Device, Element};

/// Shared bytes that a block gets without asking.
const SHARED_UNASKED: u32 = 48 << 10;

/// A GPU with the kernels loaded.
pub struct Cuda {
    // Dropped in this order: the stream and the module before the context.
    functions: RefCell<HashMap<&'static str, sys::CUfunction>>,
    /// Partial results of a vector.
    partial: OnceCell<CudaBuffer<f32>>,
    /// What attention has rounded: kept, for making and giving back memory waits for the GPU.
    rounded: RefCell<Option<CudaBuffer<u16>>>,
    stream: Stream,
    module: Module,
    name: String,
    _context: Context,
}

/// Elements in a GPU's memory.
pub struct CudaBuffer<T> {
    bytes: DeviceBuffer<u8>,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Element> CudaBuffer<T> {
    /// Where it starts.
    pub(super) fn address(&self) -> Address<T> {
        Address::new(self.bytes.as_device_ptr().as_raw())
    }

    /// Elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// What `cust` says, in words of ours.
fn refused<E: std::fmt::Debug>(action: &str) -> impl Fn(E) -> BackendError {
    move |reason| BackendError::Driver { action: action.into(), reason: format!("{reason:?}") }
}

/// A raw result of the driver: 0, or a number that may be newer than what `cust` knows.
fn answered(action: &str, result: u32) -> Result<(), BackendError> {
    if result == 0 {
        return Ok(());
    }
    Err(BackendError::Driver { action: action.into(), reason: format!("error {result}") })
}

impl Cuda {
    /// The first GPU.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where there is no driver or no GPU; [`BackendError::Driver`] where it refuses the kernels.
    pub fn open() -> Result<Self, BackendError> {
        let unavailable = |reason: String| BackendError::Unavailable { reason };
        driver::load().map_err(unavailable)?;
        // SAFETY: the first call that a program makes to the driver.
        let code = unsafe { sys::cuInit(0) } as u32;
        if code != 0 {
            return Err(unavailable(format!("the driver answers {code} to its first call")));
        }
        let devices = CudaDevice::num_devices().map_err(refused("count the devices"))?;
        if devices == 0 {
            return Err(unavailable("the driver knows no device".into()));
        }
        let device = CudaDevice::get_device(0).map_err(refused("open device 0"))?;
        let name = device.name().map_err(refused("name device 0"))?;
        let context = Context::new(device).map_err(refused("make a context"))?;
        let module = Module::from_ptx(ptx::PTX, &[]).map_err(refused("compile the kernels"))?;
        let stream = Stream::new(StreamFlags::DEFAULT, None).map_err(refused("make a stream"))?;
        let (functions, partial, rounded) = (RefCell::default(), OnceCell::new(), RefCell::default());
        Ok(Self { functions, partial, rounded, stream, module, name, _context: context })
    }

    fn function(&self, launch: &Launch) -> Result<sys::CUfunction, BackendError> {
        if let Some(found) = self.functions.borrow().get(launch.name) {
            return Ok(*found);
        }
        let function = self.module.get_function(launch.name).map_err(refused(&format!("find {}", launch.name)))?;
        let raw = function.to_raw();
        if launch.shared > SHARED_UNASKED {
            let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: a function of this context's module.
            let code = unsafe { sys::cuFuncSetAttribute(raw, attribute, launch.shared as i32) } as u32;
            answered(&format!("give {} shared bytes to {}", launch.shared, launch.name), code)?;
        }
        self.functions.borrow_mut().insert(launch.name, raw);
        Ok(raw)
    }

    /// Starts a kernel; it runs when those before it are done. A grid without blocks has nothing to do.
    ///
    /// # Safety
    /// The addresses are those of live buffers that are as long as the kernel reads and writes.
    pub(super) unsafe fn launch(&self, launch: &Launch) -> Result<(), BackendError> {
        if launch.grid.contains(&0) {
            return Ok(());
        }
        let function = self.function(launch)?;
        let mut arguments: Vec<*mut c_void> =
            launch.arguments.iter().map(|word| std::ptr::from_ref(word).cast_mut().cast()).collect();
        let ([x, y, z], none) = (launch.grid, std::ptr::null_mut());
        // SAFETY: the caller's; the driver copies the arguments before it returns.
        let code = unsafe {
            sys::cuLaunchKernel(
                function,
                x,
                y,
                z,
                launch.threads,
                1,
                1,
                launch.shared,
                self.stream.as_inner(),
                arguments.as_mut_ptr(),
                none,
            )
        } as u32;
        answered(&format!("start {}", launch.name), code)
    }

    fn finish(&self) -> Result<(), BackendError> {
        // SAFETY: a live stream.
        let code = unsafe { sys::cuStreamSynchronize(self.stream.as_inner()) } as u32;
        answered("finish the kernels", code)
    }

    /// Room for `len` elements, which nobody has written. Kernels count in 32 bits: no buffer is longer.
    fn allocate<T: Element>(&self, len: usize) -> Result<CudaBuffer<T>, BackendError> {
        let most = u32::MAX as usize;
        if len > most {
            return Err(BackendError::Shape { what: "number of elements", found: len, expected: most });
        }
        let requested = len * size_of::<T>();
        // SAFETY: every user writes the bytes before anybody reads them. An empty buffer has an address too.
        match unsafe { DeviceBuffer::uninitialized(requested.max(1)) } {
            Ok(bytes) => Ok(CudaBuffer { bytes, len, element: PhantomData }),
            Err(CudaError::OutOfMemory) => {
                let free = cust::memory::mem_get_info().map_err(refused("ask for the free memory"))?.0;
                Err(BackendError::Memory { requested: requested as u64, free: free as u64 })
            }
            Err(error) => Err(refused("allocate memory")(error)),
        }
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Buffers may be freed after this: the primary context stays while any of them lives.
        let _ = self.finish();
    }
}

impl Device for Cuda {
    type Buffer<T: Element> = CudaBuffer<T>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn upload<T: Element>(&self, data: &[T]) -> Result<CudaBuffer<T>, BackendError> {
        let mut buffer = self.allocate(data.len())?;
        let bytes: &[u8] = bytemuck::cast_slice(data);
        if !bytes.is_empty() {
            buffer.bytes.copy_from(bytes).map_err(refused("copy to the device"))?;
        }
        Ok(buffer)
    }

    fn zeros<T: Element>(&self, len: usize) -> Result<CudaBuffer<T>, BackendError> {
        let buffer = self.allocate(len)?;
        // SAFETY: as many bytes as were allocated.
        let code = unsafe { sys::cuMemsetD8_v2(buffer.bytes.as_device_ptr().as_raw(), 0, buffer.bytes.len()) } as u32;
        answered("clear memory", code)?;
        Ok(buffer)
    }

    fn download<T: Element>(&self, buffer: &CudaBuffer<T>) -> Result<Vec<T>, BackendError> {
        self.finish()?;
        let mut data = vec![T::default(); buffer.len];
        if buffer.len > 0 {
            buffer.bytes.copy_to(bytemuck::cast_slice_mut(&mut data)).map_err(refused("copy from the device"))?;
        }
        Ok(data)
    }

    fn len<T: Element>(&self, buffer: &CudaBuffer<T>) -> usize {
        buffer.len
    }

    fn seconds(&self, work: &mut dyn FnMut() -> Result<(), BackendError>) -> Result<f64, BackendError> {
        let event = || Event::new(EventFlags::DEFAULT).map_err(refused("make an event"));
        let (start, end) = (event()?, event()?);
        start.record(&self.stream).map_err(refused("record an event"))?;
        work()?;
        end.record(&self.stream).map_err(refused("record an event"))?;
        self.finish()?;
        let milliseconds = end.elapsed_time_f32(&start).map_err(refused("read the time"))?;
        Ok(f64::from(milliseconds) / 1e3)
    }
}
