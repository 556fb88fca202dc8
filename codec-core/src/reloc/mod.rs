//! Relocation: what the old image's code says about addresses, rewritten for the new place.
//!
//! An [`Isa`] looks at one place of the *old* image and says which *unit* stands there: how many
//! bytes belong together, and whether they hold an address. The predictor maps the address
//! old -> new through the alignment map, and the same [`Isa`] writes the unit again, as it should
//! read at its new place. The result is only a prediction: a wrong guess costs bits, never bytes
//! of the rebuilt file. So an implementation may guess freely, but it must be a pure function of
//! its arguments, and it must never panic, whatever the bytes are.
//!
//! All addresses are 32 bit and wrap; 64-bit instruction sets use the low half.

pub mod a32;
pub mod aarch64;
pub mod address;
pub mod avr;
#[cfg(test)]
mod laws;
mod plain;
pub mod riscv;
pub mod thumb;
#[cfg(feature = "x86")]
pub mod x86;
pub mod xtensa;

/// Bytes visible before the place looked at.
pub const WINDOW_BEFORE: usize = 16;
/// Bytes visible from the place looked at on.
pub const WINDOW_AFTER: usize = 16;

/// The old image around one place. Offsets are relative to that place; bytes outside the image read as absent.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    bytes: &'a [u8],
    centre: usize,
}

impl<'a> Window<'a> {
    /// A view of `bytes` whose place looked at is `bytes[centre]`.
    pub fn new(bytes: &'a [u8], centre: usize) -> Self {
        Self { bytes, centre }
    }

    /// The bytes from `offset` on. A place before the first wraps to one behind the last, where there are none.
    #[inline]
    fn from(&self, offset: isize) -> &'a [u8] {
        self.bytes.get(self.centre.wrapping_add_signed(offset)..).unwrap_or(&[])
    }

    /// The byte at `offset` from the place looked at.
    #[inline]
    pub fn u8(&self, offset: isize) -> Option<u8> {
        self.from(offset).first().copied()
    }

    /// The little-endian halfword at `offset`.
    #[inline]
    pub fn u16(&self, offset: isize) -> Option<u16> {
        self.from(offset).first_chunk().map(|&b| u16::from_le_bytes(b))
    }

    /// The little-endian word at `offset`.
    #[inline]
    pub fn u32(&self, offset: isize) -> Option<u32> {
        self.from(offset).first_chunk().map(|&b| u32::from_le_bytes(b))
    }

    /// The `len` bytes (at most 4) at the place looked at, as a little-endian number.
    fn bits(&self, len: u8) -> Option<u32> {
        (0..isize::from(len.min(4))).try_fold(0, |bits, i| Some(bits | u32::from(self.u8(i)?) << (8 * i)))
    }
}

/// What a unit holds. The discriminants select adaptive statistics, so each kind of field learns for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// No address.
    Plain = 0,
    /// A call to a function (`BL`, `JAL ra`, `CALLn`, ...).
    Call = 1,
    /// A far jump (`B.W`, `J`, ...).
    Jump = 2,
    /// A short or conditional branch.
    Branch = 3,
    /// A load from a literal at a PC-relative address.
    Literal = 4,
    /// An address formed relative to the PC, or one half of it (`ADR`, `ADRP`, `AUIPC`, low part of such a pair).
    PcAddress = 5,
    /// One half of an absolute address formed by instructions (`MOVW`/`MOVT`, `LUI`/`ADDI`, `LDI` pair).
    AbsAddress = 6,
    /// A data word that may be an absolute address. Only the predictor itself makes this kind.
    Pointer = 7,
}

/// One unit of the old image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Bytes that belong together: 1 to 4, and a multiple of the instruction set's alignment except at the image's end.
    pub len: u8,
    /// What the unit holds.
    pub kind: Kind,
    /// The address that the unit refers to, in the old image's address space. 0 when `kind` is [`Kind::Plain`].
    pub target: u32,
}

impl Site {
    /// A unit without an address.
    pub const fn plain(len: u8) -> Self {
        Self { len, kind: Kind::Plain, target: 0 }
    }

    /// A unit without an address: `len` bytes, or what remains of the image.
    fn plain_in(window: &Window<'_>, len: u8) -> Self {
        Self::plain((1..len).find(|&i| window.u8(isize::from(i)).is_none()).unwrap_or(len))
    }
}

/// One instruction set.
pub trait Isa {
    /// Alignment in bytes of its instructions: 1, 2 or 4. Sites are only looked for at multiples of it.
    fn align(&self) -> u32;

    /// What stands at the window's place, whose address is `pc`. The window holds at least one byte there.
    fn site(&self, window: &Window<'_>, pc: u32) -> Site;

    /// The unit of `site` (little-endian, low `site.len` bytes) as it should read at `new_pc` when it refers to
    /// `new_target`. All bits that are not part of the address are kept. `None` when the address cannot be
    /// expressed there.
    fn relocate(&self, window: &Window<'_>, site: &Site, new_pc: u32, new_target: u32) -> Option<u32>;
}

/// The instruction sets that a container may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IsaKind {
    /// No code: units of up to four bytes, no addresses but pointers into the regions.
    Plain = 0,
    /// [`thumb::Thumb`].
    Thumb = 1,
    /// [`a32::A32`].
    A32 = 2,
    /// [`aarch64::AArch64`].
    AArch64 = 3,
    /// [`riscv::RiscV`], 32 bit.
    Rv32 = 4,
    /// [`riscv::RiscV`], 64 bit.
    Rv64 = 5,
    /// [`xtensa::Xtensa`].
    Xtensa = 6,
    /// [`avr::Avr`].
    Avr = 7,
    /// `x86::X86`, 64 bit. Only where the cargo feature `x86` is on, and only in files of profile host.
    #[cfg(feature = "x86")]
    X86 = 8,
}

/// Calls a method of the instruction set that `$kind` names.
macro_rules! dispatch {
    ($kind:expr, $method:ident($($argument:expr),*)) => {
        match $kind {
            IsaKind::Plain => plain::Plain.$method($($argument),*),
            IsaKind::Thumb => thumb::Thumb.$method($($argument),*),
            IsaKind::A32 => a32::A32.$method($($argument),*),
            IsaKind::AArch64 => aarch64::AArch64.$method($($argument),*),
            IsaKind::Rv32 => riscv::RiscV { rv64: false }.$method($($argument),*),
            IsaKind::Rv64 => riscv::RiscV { rv64: true }.$method($($argument),*),
            IsaKind::Xtensa => xtensa::Xtensa.$method($($argument),*),
            IsaKind::Avr => avr::Avr.$method($($argument),*),
            #[cfg(feature = "x86")]
            IsaKind::X86 => x86::X86.$method($($argument),*),
        }
    };
}

impl IsaKind {
    /// Every instruction set that is known, in the order of their numbers.
    pub const ALL: [Self; 8 + cfg!(feature = "x86") as usize] = [
        Self::Plain,
        Self::Thumb,
        Self::A32,
        Self::AArch64,
        Self::Rv32,
        Self::Rv64,
        Self::Xtensa,
        Self::Avr,
        #[cfg(feature = "x86")]
        Self::X86,
    ];

    /// Whether readers of every profile know it; else only those of profile host do.
    pub const fn is_for_devices(self) -> bool {
        self as u8 <= Self::Avr as u8
    }

    /// Number in the container.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The instruction set of a number.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(id as usize).copied()
    }

    /// What stands at the window's place, whose offset is `at`; where no instruction can start, the bytes up to where
    /// one can.
    pub fn site_at(self, window: &Window<'_>, at: u32) -> Site {
        let align = self.align();
        if at.is_multiple_of(align) { self.site(window, at) } else { Site::plain((align - at % align) as u8) }
    }

    /// Name as printed by `gmcf inspect`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Thumb => "thumb",
            Self::A32 => "a32",
            Self::AArch64 => "aarch64",
            Self::Rv32 => "rv32",
            Self::Rv64 => "rv64",
            Self::Xtensa => "xtensa",
            Self::Avr => "avr",
            #[cfg(feature = "x86")]
            Self::X86 => "x86-64",
        }
    }
}

impl Isa for IsaKind {
    fn align(&self) -> u32 {
        dispatch!(self, align())
    }

    fn site(&self, window: &Window<'_>, pc: u32) -> Site {
        dispatch!(self, site(window, pc))
    }

    fn relocate(&self, window: &Window<'_>, site: &Site, new_pc: u32, new_target: u32) -> Option<u32> {
        dispatch!(self, relocate(window, site, new_pc, new_target))
    }
}

/// The low `bits` (1 to 32) bits of `value` as a signed number, modulo 2^32.
fn sign_extend(value: u32, bits: u32) -> u32 {
    let unused = 32 - bits;
    ((value << unused) as i32 >> unused) as u32
}

/// `offset` as a signed field of `bits - shift` bits that counts multiples of `2^shift`. `None` if it does not fit.
fn signed_field(offset: u32, bits: u32, shift: u32) -> Option<u32> {
    let exact = sign_extend(offset, bits) == offset && offset & ((1 << shift) - 1) == 0;
    exact.then_some((offset >> shift) & ((1 << (bits - shift)) - 1))
}
