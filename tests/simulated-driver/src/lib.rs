//! As much of a CUDA driver as `host-trainer` calls, for tests where there is no GPU.
//!
//! Launches go to the simulator of `ptx`, so what a kernel does wrong is reported on standard error and as error 719, as a
//! GPU's own faults are. Only kernels that the loaded PTX has are found. Times are those of this process.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use ptx::list::{Launch, NAMES};
use ptx::sim::{Memory, launch};

const SUCCESS: c_int = 0;
const INVALID_VALUE: c_int = 1;
const OUT_OF_MEMORY: c_int = 2;
const NOT_FOUND: c_int = 500;
const LAUNCH_FAILED: c_int = 719;

/// Bytes that the device says it has.
const CAPACITY: usize = 1 << 30;
/// Most shared bytes of a block, as compute capability 8.0 has them.
const MOST_SHARED: u32 = 163 << 10;

#[derive(Default)]
struct Device {
    memory: Memory,
    allocated: usize,
    /// Sizes of allocations, by address.
    sizes: std::collections::HashMap<u64, usize>,
    ptx: String,
    /// Shared bytes that each kernel has asked for beyond the usual.
    shared: std::collections::HashMap<usize, u32>,
}

fn device() -> std::sync::MutexGuard<'static, Device> {
    static DEVICE: OnceLock<Mutex<Device>> = OnceLock::new();
    DEVICE.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn now() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Functions with nothing to do.
macro_rules! nothing {
    ($($name:ident($($ty:ty),*);)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($(_: $ty),*) -> c_int {
            SUCCESS
        }
    )* };
}

nothing! {
    cuInit(c_uint);
    cuCtxSetCurrent(usize);
    cuDevicePrimaryCtxRelease_v2(c_int);
    cuDevicePrimaryCtxSetFlags_v2(c_int, c_uint);
    cuModuleUnload(usize);
    cuStreamSynchronize(usize);
    cuStreamDestroy_v2(usize);
    cuEventSynchronize(usize);
}

/// Functions that give one value.
macro_rules! value {
    ($($name:ident($ty:ty $(, $other:ty)*) = $value:expr;)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(to: *mut $ty $(, _: $other)*) -> c_int {
            unsafe { to.write($value) };
            SUCCESS
        }
    )* };
}

value! {
    cuDriverGetVersion(c_int) = 13_000;
    cuDeviceGet(c_int, c_int) = 0;
    cuDeviceGetCount(c_int) = 1;
    cuDeviceGetAttribute(c_int, c_int, c_int) = 1;
    cuDevicePrimaryCtxRetain(usize, c_int) = 1;
    cuCtxGetCurrent(usize) = 1;
    cuStreamCreate(usize, c_uint) = 1;
    cuStreamCreateWithPriority(usize, c_uint, c_int) = 1;
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(to: *mut c_char, len: c_int, _: c_int) -> c_int {
    let name = c"simulated device";
    let bytes = name.to_bytes_with_nul();
    if (len as usize) < bytes.len() {
        return INVALID_VALUE;
    }
    unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), to, bytes.len()) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    to: *mut usize,
    image: *const c_char,
    _: c_uint,
    _: *mut c_void,
    _: *mut c_void,
) -> c_int {
    device().ptx = unsafe { CStr::from_ptr(image) }.to_string_lossy().into_owned();
    unsafe { to.write(1) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(to: *mut usize, _: usize, name: *const c_char) -> c_int {
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let entry = format!(".visible .entry {name}(");
    match NAMES.iter().position(|known| *known == name) {
        Some(i) if device().ptx.contains(&entry) => {
            unsafe { to.write(i + 1) };
            SUCCESS
        }
        _ => NOT_FOUND,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetAttribute(function: usize, attribute: c_int, value: c_int) -> c_int {
    const MAX_DYNAMIC_SHARED_SIZE_BYTES: c_int = 8;
    if attribute != MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || value as u32 > MOST_SHARED {
        return INVALID_VALUE;
    }
    device().shared.insert(function, value as u32);
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> c_int {
    unsafe {
        free.write(CAPACITY - device().allocated);
        total.write(CAPACITY);
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(to: *mut u64, len: usize) -> c_int {
    let mut device = device();
    if len == 0 {
        return INVALID_VALUE;
    }
    if device.allocated + len > CAPACITY {
        return OUT_OF_MEMORY;
    }
    let address = device.memory.allocate(len);
    device.allocated += len;
    device.sizes.insert(address, len);
    unsafe { to.write(address) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFree_v2(address: u64) -> c_int {
    let mut device = device();
    let Some(len) = device.sizes.remove(&address) else { return INVALID_VALUE };
    device.allocated -= len;
    device.memory.free(address);
    SUCCESS
}

fn told(result: Result<(), String>) -> c_int {
    match result {
        Ok(()) => SUCCESS,
        Err(what) => {
            eprintln!("simulated CUDA: {what}");
            INVALID_VALUE
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const u8, len: usize) -> c_int {
    told(device().memory.write(to, unsafe { std::slice::from_raw_parts(from, len) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut u8, from: u64, len: usize) -> c_int {
    told(device().memory.read(from, unsafe { std::slice::from_raw_parts_mut(to, len) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, len: usize) -> c_int {
    let mut bytes = vec![0; len];
    let mut device = device();
    told(device.memory.read(from, &mut bytes).and_then(|()| device.memory.write(to, &bytes)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD8_v2(to: u64, value: u8, len: usize) -> c_int {
    told(device().memory.write(to, &vec![value; len]))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(to: *mut *mut f64, _: c_uint) -> c_int {
    unsafe { to.write(Box::into_raw(Box::new(0.0))) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventRecord(event: *mut f64, _: usize) -> c_int {
    unsafe { event.write(now()) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventDestroy_v2(event: *mut f64) -> c_int {
    drop(unsafe { Box::from_raw(event) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(to: *mut f32, start: *const f64, end: *const f64) -> c_int {
    unsafe { to.write(((*end - *start) * 1e3) as f32) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: usize,
    x: c_uint,
    y: c_uint,
    z: c_uint,
    threads: c_uint,
    threads_y: c_uint,
    threads_z: c_uint,
    shared: c_uint,
    _: usize,
    arguments: *const *const u64,
    _: *const *const c_void,
) -> c_int {
    const USUAL_SHARED: u32 = 48 << 10;
    let mut device = device();
    let Some(name) = NAMES.get(function.wrapping_sub(1)) else { return INVALID_VALUE };
    let allowed = device.shared.get(&function).copied().unwrap_or(USUAL_SHARED);
    if [threads_y, threads_z] != [1, 1] || [x, y, z].contains(&0) || y > 65_535 || z > 65_535 || shared > allowed {
        return INVALID_VALUE;
    }
    // The host keeps every argument in a word.
    let arguments = (0..ptx::list::arguments(name)).map(|i| unsafe { **arguments.add(i) }).collect();
    let call = Launch { name, grid: [x, y, z], threads, shared, arguments };
    match unsafe { launch(&mut device.memory, &call) } {
        Ok(()) => SUCCESS,
        Err(fault) => {
            eprintln!("simulated CUDA: {name}: {fault}");
            LAUNCH_FAILED
        }
    }
}
