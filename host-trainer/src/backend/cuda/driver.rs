//! The driver's functions, found at run time.
//!
//! `cust` links against the functions of `libcuda`. They are defined here, as jumps through a table that [`load`] fills from
//! `libcuda.so.1`: so one program starts where there is a driver and where there is none.

use core::ffi::c_void;
use std::arch::global_asm;
use std::sync::OnceLock;

use crate::report::causes::reason;

macro_rules! functions {
    ($($name:literal)*) => {
        const NAMES: &[&str] = &[$($name),*];

        unsafe extern "C" {
            static mut gmcf_cuda_slots: [*const c_void; NAMES.len()];
        }

        // One block, so that the slots stay in order. Until `load` ran, every function answers 100: no device.
        global_asm!(
            "gmcf_cuda_missing: mov eax, 100", "ret",
            ".pushsection .data.gmcf_cuda,\"aw\",@progbits", ".p2align 3",
            ".globl gmcf_cuda_slots", "gmcf_cuda_slots:", ".popsection",
            $(
                concat!(".globl ", $name), concat!(".type ", $name, ",@function"),
                concat!($name, ": jmp qword ptr [rip + .Lgmcf_", $name, "]"),
                ".pushsection .data.gmcf_cuda,\"aw\",@progbits",
                concat!(".Lgmcf_", $name, ": .quad gmcf_cuda_missing"), ".popsection",
            )*
        );
    };
}

/// Opens the driver, once. To be called before any function of `cust`.
///
/// # Errors
/// Why there is no driver.
pub(super) fn load() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED
        .get_or_init(|| {
            // SAFETY: the library is the driver, and its initialisers are what every CUDA program runs.
            let library = unsafe { libloading::Library::new("libcuda.so.1") }
                .map_err(|error| format!("the driver is not installed ({})", reason(&error)))?;
            for (i, name) in NAMES.iter().enumerate() {
                // SAFETY: the slots are words that only this function writes, once; what is found is a function of that name.
                unsafe {
                    if let Ok(symbol) = library.get::<*const c_void>(name.as_bytes()) {
                        (&raw mut gmcf_cuda_slots).cast::<*const c_void>().add(i).write(*symbol);
                    }
                }
            }
            // The driver stays loaded.
            std::mem::forget(library);
            Ok(())
        })
        .clone()
}

functions! {
    "cuArray3DCreate_v2" "cuArray3DGetDescriptor_v2" "cuArrayCreate_v2" "cuArrayDestroy"
    "cuArrayGetDescriptor_v2" "cuArrayGetPlane" "cuArrayGetSparseProperties" "cuCtxAttach"
    "cuCtxCreate_v2" "cuCtxCreate_v3" "cuCtxDestroy_v2" "cuCtxDetach"
    "cuCtxDisablePeerAccess" "cuCtxEnablePeerAccess" "cuCtxGetApiVersion" "cuCtxGetCacheConfig"
    "cuCtxGetCurrent" "cuCtxGetDevice" "cuCtxGetExecAffinity" "cuCtxGetFlags"
    "cuCtxGetLimit" "cuCtxGetSharedMemConfig" "cuCtxGetStreamPriorityRange" "cuCtxPopCurrent_v2"
    "cuCtxPushCurrent_v2" "cuCtxResetPersistingL2Cache" "cuCtxSetCacheConfig" "cuCtxSetCurrent"
    "cuCtxSetLimit" "cuCtxSetSharedMemConfig" "cuCtxSynchronize" "cuDestroyExternalMemory"
    "cuDestroyExternalSemaphore" "cuDeviceCanAccessPeer" "cuDeviceComputeCapability" "cuDeviceGet"
    "cuDeviceGetAttribute" "cuDeviceGetByPCIBusId" "cuDeviceGetCount" "cuDeviceGetDefaultMemPool"
    "cuDeviceGetExecAffinitySupport" "cuDeviceGetLuid" "cuDeviceGetMemPool" "cuDeviceGetName"
    "cuDeviceGetNvSciSyncAttributes" "cuDeviceGetP2PAttribute" "cuDeviceGetPCIBusId" "cuDeviceGetProperties"
    "cuDeviceGetTexture1DLinearMaxWidth" "cuDeviceGetUuid" "cuDeviceGetUuid_v2" "cuDevicePrimaryCtxGetState"
    "cuDevicePrimaryCtxRelease_v2" "cuDevicePrimaryCtxReset_v2" "cuDevicePrimaryCtxRetain" "cuDevicePrimaryCtxSetFlags_v2"
    "cuDeviceSetMemPool" "cuDeviceTotalMem_v2" "cuDriverGetVersion" "cuEventCreate"
    "cuEventDestroy_v2" "cuEventElapsedTime" "cuEventQuery" "cuEventRecord"
    "cuEventRecordWithFlags" "cuEventSynchronize" "cuExternalMemoryGetMappedBuffer" "cuExternalMemoryGetMappedMipmappedArray"
    "cuFlushGPUDirectRDMAWrites" "cuFuncGetAttribute" "cuFuncGetModule" "cuFuncSetAttribute"
    "cuFuncSetBlockShape" "cuFuncSetCacheConfig" "cuFuncSetSharedMemConfig" "cuFuncSetSharedSize"
    "cuGetErrorName" "cuGetErrorString" "cuGetExportTable" "cuGetProcAddress"
    "cuGraphDestroy" "cuImportExternalMemory" "cuImportExternalSemaphore" "cuInit"
    "cuIpcCloseMemHandle" "cuIpcGetEventHandle" "cuIpcGetMemHandle" "cuIpcOpenEventHandle"
    "cuIpcOpenMemHandle_v2" "cuLaunch" "cuLaunchCooperativeKernel" "cuLaunchCooperativeKernelMultiDevice"
    "cuLaunchGrid" "cuLaunchGridAsync" "cuLaunchHostFunc" "cuLaunchKernel"
    "cuLinkAddData_v2" "cuLinkAddFile_v2" "cuLinkComplete" "cuLinkCreate_v2"
    "cuLinkDestroy" "cuMemAddressFree" "cuMemAddressReserve" "cuMemAdvise"
    "cuMemAllocAsync" "cuMemAllocFromPoolAsync" "cuMemAllocHost_v2" "cuMemAllocManaged"
    "cuMemAllocPitch_v2" "cuMemAlloc_v2" "cuMemCreate" "cuMemExportToShareableHandle"
    "cuMemFreeAsync" "cuMemFreeHost" "cuMemFree_v2" "cuMemGetAccess"
    "cuMemGetAddressRange_v2" "cuMemGetAllocationGranularity" "cuMemGetAllocationPropertiesFromHandle" "cuMemGetInfo_v2"
    "cuMemHostAlloc" "cuMemHostGetDevicePointer_v2" "cuMemHostGetFlags" "cuMemHostRegister_v2"
    "cuMemHostUnregister" "cuMemImportFromShareableHandle" "cuMemMap" "cuMemMapArrayAsync"
    "cuMemPoolCreate" "cuMemPoolDestroy" "cuMemPoolExportPointer" "cuMemPoolExportToShareableHandle"
    "cuMemPoolGetAccess" "cuMemPoolGetAttribute" "cuMemPoolImportFromShareableHandle" "cuMemPoolImportPointer"
    "cuMemPoolSetAccess" "cuMemPoolSetAttribute" "cuMemPoolTrimTo" "cuMemPrefetchAsync"
    "cuMemRangeGetAttribute" "cuMemRangeGetAttributes" "cuMemRelease" "cuMemRetainAllocationHandle"
    "cuMemSetAccess" "cuMemUnmap" "cuMemcpy" "cuMemcpy2DAsync_v2"
    "cuMemcpy2DUnaligned_v2" "cuMemcpy2D_v2" "cuMemcpy3DAsync_v2" "cuMemcpy3DPeer"
    "cuMemcpy3DPeerAsync" "cuMemcpy3D_v2" "cuMemcpyAsync" "cuMemcpyAtoA_v2"
    "cuMemcpyAtoD_v2" "cuMemcpyAtoHAsync_v2" "cuMemcpyAtoH_v2" "cuMemcpyDtoA_v2"
    "cuMemcpyDtoDAsync_v2" "cuMemcpyDtoD_v2" "cuMemcpyDtoHAsync_v2" "cuMemcpyDtoH_v2"
    "cuMemcpyHtoAAsync_v2" "cuMemcpyHtoA_v2" "cuMemcpyHtoDAsync_v2" "cuMemcpyHtoD_v2"
    "cuMemcpyPeer" "cuMemcpyPeerAsync" "cuMemsetD16Async" "cuMemsetD16_v2"
    "cuMemsetD2D16Async" "cuMemsetD2D16_v2" "cuMemsetD2D32Async" "cuMemsetD2D32_v2"
    "cuMemsetD2D8Async" "cuMemsetD2D8_v2" "cuMemsetD32Async" "cuMemsetD32_v2"
    "cuMemsetD8Async" "cuMemsetD8_v2" "cuMipmappedArrayCreate" "cuMipmappedArrayDestroy"
    "cuMipmappedArrayGetLevel" "cuMipmappedArrayGetSparseProperties" "cuModuleGetFunction" "cuModuleGetGlobal_v2"
    "cuModuleLoad" "cuModuleLoadData" "cuModuleLoadDataEx" "cuModuleLoadFatBinary"
    "cuModuleUnload" "cuOccupancyAvailableDynamicSMemPerBlock" "cuOccupancyMaxActiveBlocksPerMultiprocessor" "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags"
    "cuOccupancyMaxPotentialBlockSize" "cuOccupancyMaxPotentialBlockSizeWithFlags" "cuParamSetSize" "cuParamSetf"
    "cuParamSeti" "cuParamSetv" "cuPointerGetAttribute" "cuPointerGetAttributes"
    "cuPointerSetAttribute" "cuSignalExternalSemaphoresAsync" "cuStreamAddCallback" "cuStreamAttachMemAsync"
    "cuStreamBatchMemOp" "cuStreamBeginCapture_v2" "cuStreamCopyAttributes" "cuStreamCreate"
    "cuStreamCreateWithPriority" "cuStreamDestroy_v2" "cuStreamEndCapture" "cuStreamGetAttribute"
    "cuStreamGetCaptureInfo" "cuStreamGetCaptureInfo_v2" "cuStreamGetCtx" "cuStreamGetFlags"
    "cuStreamGetPriority" "cuStreamIsCapturing" "cuStreamQuery" "cuStreamSetAttribute"
    "cuStreamSynchronize" "cuStreamUpdateCaptureDependencies" "cuStreamWaitEvent" "cuStreamWaitValue32"
    "cuStreamWaitValue64" "cuStreamWriteValue32" "cuStreamWriteValue64" "cuSurfObjectCreate"
    "cuSurfObjectDestroy" "cuSurfObjectGetResourceDesc" "cuTexObjectCreate" "cuTexObjectDestroy"
    "cuTexObjectGetResourceDesc" "cuTexObjectGetResourceViewDesc" "cuTexObjectGetTextureDesc" "cuThreadExchangeStreamCaptureMode"
    "cuUserObjectCreate" "cuUserObjectRelease" "cuUserObjectRetain" "cuWaitExternalSemaphoresAsync"
}
