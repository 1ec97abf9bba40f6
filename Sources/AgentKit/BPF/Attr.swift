// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
public import SystemPackage

/// `union bpf_attr`, byte by byte: what the kernel gets is exactly what a case says, with no library in between.
///
/// - Source: include/uapi/linux/bpf.h; offsets are the same in every release that has the field.
public struct Attr {
    @usableFromInline var bytes: [UInt8]

    /// - Parameter size: what the kernel is told; a tail of zeros beyond its own size is accepted by every kernel.
    public init(size: Int = 128) {
        bytes = [UInt8](repeating: 0, count: size)
    }

    /// A field at a byte offset; one that lies beyond the size is left out, as in a shorter attr.
    @inlinable
    public mutating func set(_ value: some FixedWidthInteger, at offset: Int) {
        for index in 0..<(value.bitWidth / 8) where offset + index < bytes.count {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }

    @inlinable
    public func get<Value: FixedWidthInteger>(at offset: Int) -> Value {
        (0..<(Value.bitWidth / 8)).reduce(0) { $0 | Value(truncatingIfNeeded: bytes[offset + $1]) << (8 * $1) }
    }

    /// The system call.
    ///
    /// - Returns: what it returned, a descriptor or 0; or the errno.
    public mutating func call(_ command: Command) -> Result<CInt, Errno> {
        let count = UInt32(bytes.count)
        let result = unsafe bytes.withUnsafeMutableBytes { unsafe clinux_bpf(command.rawValue, $0.baseAddress, count) }
        return result >= 0 ? .success(result) : .failure(Errno.last)
    }

    /// The system call, told of fewer bytes than there are: what is beyond them must stay as it is. nil on success.
    public mutating func call(_ command: Command, telling size: Int) -> Errno? {
        let count = UInt32(min(size, bytes.count))
        let result = unsafe bytes.withUnsafeMutableBytes { unsafe clinux_bpf(command.rawValue, $0.baseAddress, count) }
        return result >= 0 ? nil : Errno.last
    }

    /// The system call with a command that may have no name; nil on success.
    public mutating func call(number: CInt) -> Errno? {
        let count = UInt32(bytes.count)
        let result = unsafe bytes.withUnsafeMutableBytes { unsafe clinux_bpf(number, $0.baseAddress, count) }
        return result >= 0 ? nil : Errno.last
    }

    /// `enum bpf_cmd`.
    public enum Command: CInt, Sendable {
        case mapCreate = 0
        case mapLookupElem = 1
        case mapUpdateElem = 2
        case mapDeleteElem = 3
        case mapGetNextKey = 4
        case progLoad = 5
        case objPin = 6
        case objGet = 7
        case progAttach = 8
        case progDetach = 9
        case progTestRun = 10
        case progGetNextID = 11
        case mapGetNextID = 12
        case progGetFDByID = 13
        case mapGetFDByID = 14
        case objGetInfoByFD = 15
        case progQuery = 16
        case rawTracepointOpen = 17
        case btfLoad = 18
        case btfGetFDByID = 19
        case taskFDQuery = 20
        case mapLookupAndDeleteElem = 21
        case mapFreeze = 22
        case btfGetNextID = 23
        case mapLookupBatch = 24
        case mapLookupAndDeleteBatch = 25
        case mapUpdateBatch = 26
        case mapDeleteBatch = 27
        case linkCreate = 28
        case linkUpdate = 29
        case linkGetFDByID = 30
        case linkGetNextID = 31
        case enableStats = 32
        case iterCreate = 33
        case linkDetach = 34
        case progBindMap = 35
        case tokenCreate = 36
        case progStreamReadByFD = 37
    }
}

extension Result where Failure == Errno {
    /// nil on success.
    public var errno: Errno? {
        if case .failure(let errno) = self { errno } else { nil }
    }
}
