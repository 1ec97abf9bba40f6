// SPDX-License-Identifier: Apache-2.0

/// Instructions that not every kernel knows, by the numbers of docs/surface-format.md; compilers use them by `-mcpu`.
enum InstructionKind: UInt32, CaseIterable {
    /// Atomic operations but for plain additions (5.12, `-mcpu=v3`).
    case atomics = 1
    /// 6.6, `-mcpu=v4`, as the next four are.
    case signExtendingLoads = 2
    case signExtendingMoves = 3
    case byteSwaps = 4
    case longJumps = 5
    case signedDivisions = 6
    /// 6.9
    case mayGoto = 7
    /// 6.15
    case loadAcquire = 8
    case storeRelease = 9

    /// What an instruction is, if it is one of these.
    ///
    /// - Source: Documentation/bpf/standardization/instruction-set.rst of 6.12 and 7.2.
    init?(code: UInt8, offset: Int16, immediate: Int32) {
        switch (code, offset, immediate) {
        // BPF_STX | BPF_ATOMIC, of 1, 2, 4 and 8 bytes; 0 is BPF_ADD without BPF_FETCH.
        case (0xc3, _, 0x100), (0xcb, _, 0x100), (0xd3, _, 0x100), (0xdb, _, 0x100): self = .loadAcquire
        case (0xc3, _, 0x110), (0xcb, _, 0x110), (0xd3, _, 0x110), (0xdb, _, 0x110): self = .storeRelease
        case (0xc3, _, let operation), (0xdb, _, let operation):
            if operation == 0 { return nil }
            self = .atomics
        // BPF_LDX | BPF_MEMSX
        case (0x81, _, _), (0x89, _, _), (0x91, _, _): self = .signExtendingLoads
        case (0xbf, 8, _), (0xbf, 16, _), (0xbf, 32, _), (0xbc, 8, _), (0xbc, 16, _): self = .signExtendingMoves
        case (0xd7, _, _): self = .byteSwaps
        case (0x06, _, _): self = .longJumps
        case (0x34, 1, _), (0x37, 1, _), (0x3c, 1, _), (0x3f, 1, _), (0x94, 1, _), (0x97, 1, _), (0x9c, 1, _),
            (0x9f, 1, _):
            self = .signedDivisions
        case (0xe5, _, _): self = .mayGoto
        default: return nil
        }
    }

    /// The instruction on registers and a place in the stack that hold numbers.
    private var instruction: [UInt8] {
        switch self {
        case .atomics: [0xdb, 0x1a, 0xf8, 0xff, 0x01, 0, 0, 0]
        case .signExtendingLoads: [0x91, 0xa0, 0xf8, 0xff, 0, 0, 0, 0]
        case .signExtendingMoves: [0xbf, 0x10, 8, 0, 0, 0, 0, 0]
        case .byteSwaps: [0xd7, 0x01, 0, 0, 16, 0, 0, 0]
        case .longJumps: [0x06, 0, 0, 0, 0, 0, 0, 0]
        case .signedDivisions: [0x3f, 0x10, 1, 0, 0, 0, 0, 0]
        case .mayGoto: [0xe5, 0, 0, 0, 0, 0, 0, 0]
        case .loadAcquire: [0xdb, 0xa0, 0xf8, 0xff, 0, 1, 0, 0]
        case .storeRelease: [0xdb, 0x1a, 0xf8, 0xff, 0x10, 1, 0, 0]
        }
    }

    /// A small program with the instruction: r0 = 4, r1 = 2, the stack's first 8 bytes = 2; the instruction; r0 = 0.
    var program: [UInt8] {
        [0xb7, 0, 0, 0, 4, 0, 0, 0] + [0xb7, 1, 0, 0, 2, 0, 0, 0] + [0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0] + instruction
            + [0xb7, 0, 0, 0, 0, 0, 0, 0] + [0x95, 0, 0, 0, 0, 0, 0, 0]
    }
}
