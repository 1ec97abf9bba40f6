// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// Memory of a ring buffer map: two positions, and the data twice in a row, so that no record is ever in two pieces.
///
/// - Source: Documentation/bpf/ringbuf.rst; kernel/bpf/ringbuf.c.
@safe private final class RingMemory {
    /// The page of the reader's position, the page of the writer's, twice the data.
    let consumer: UnsafeMutableRawPointer
    let producer: UnsafeMutableRawPointer
    let size: Int
    static let page = 4096

    /// - Parameters:
    ///   - size: of the data, a power of two; the map's max_entries.
    ///   - isReader: which of the two positions, and whether the data, is ours to write.
    init(_ map: CInt, size: Int, isReader: Bool) throws(Errno) {
        self.size = size
        let both = PROT_READ | PROT_WRITE
        let rest = Self.page + 2 * size
        let first = unsafe mmap(nil, Self.page, isReader ? both : PROT_READ, MAP_SHARED, map, 0)
        guard let first = unsafe first, unsafe first != MAP_FAILED else { throw Errno.last }
        let second = unsafe mmap(nil, rest, isReader ? PROT_READ : both, MAP_SHARED, map, Self.page)
        guard let second = unsafe second, unsafe second != MAP_FAILED else {
            let errno = Errno.last
            _ = unsafe munmap(first, Self.page)
            throw errno
        }
        unsafe consumer = first
        unsafe producer = second
    }

    deinit {
        _ = unsafe munmap(consumer, Self.page)
        _ = unsafe munmap(producer, Self.page + 2 * size)
    }

    var consumed: UInt64 {
        get { unsafe consumer.load(as: UInt64.self) }
        set { unsafe consumer.storeBytes(of: newValue, as: UInt64.self) }
    }

    var produced: UInt64 {
        get { unsafe producer.load(as: UInt64.self) }
        set { unsafe producer.storeBytes(of: newValue, as: UInt64.self) }
    }

    /// Where a position is in the data.
    func at(_ position: UInt64) -> UnsafeMutableRawPointer {
        unsafe producer + Self.page + Int(position & UInt64(size - 1))
    }
}

private let busy: UInt32 = 1 << 31
private let discarded: UInt32 = 1 << 30

/// The reader's side of a BPF_MAP_TYPE_RINGBUF map, for programs that run while the reader waits.
public final class RingBuffer {
    public struct Record: Sendable, Equatable {
        public var data: [UInt8]
        public var isDiscarded: Bool

        public init(_ data: [UInt8], isDiscarded: Bool = false) {
            self.data = data
            self.isDiscarded = isDiscarded
        }
    }

    private let memory: RingMemory

    /// - Parameter size: the map's max_entries.
    public init(_ map: CInt, size: Int) throws(Errno) {
        memory = try RingMemory(map, size: size, isReader: true)
    }

    /// Takes all records up to the first that its program has not ended; discarded ones are shown as such.
    public func take() -> [Record] {
        var records: [Record] = []
        while memory.consumed < memory.produced {
            let header = unsafe memory.at(memory.consumed).load(as: UInt32.self)
            if header & busy != 0 { break }
            let length = Int(header & ~discarded)
            let data = unsafe UnsafeRawBufferPointer(start: memory.at(memory.consumed) + 8, count: length)
            records.append(unsafe Record(Array(data), isDiscarded: header & discarded != 0))
            memory.consumed += UInt64((length + 8 + 7) & ~7)
        }
        return records
    }
}

/// The writer's side of a BPF_MAP_TYPE_USER_RINGBUF map.
public final class UserRingBuffer {
    private let memory: RingMemory

    /// - Parameter size: the map's max_entries.
    public init(_ map: CInt, size: Int) throws(Errno) {
        memory = try RingMemory(map, size: size, isReader: false)
    }

    /// Bytes of the positions: what was written and what the kernel has taken.
    public var produced: UInt64 { memory.produced }
    public var consumed: UInt64 { memory.consumed }

    /// Writes a record.
    ///
    /// - Parameters:
    ///   - isDiscarded: the kernel passes it over.
    ///   - isBusy: its writer has not come to its end: the kernel waits for it.
    ///   - claiming: the length that its header says; nil for the right one.
    ///   - advance: by how much the writer's position grows; nil for the right number.
    public func put(
        _ data: [UInt8], isDiscarded: Bool = false, isBusy: Bool = false, claiming: UInt32? = nil,
        advance: UInt64? = nil
    ) {
        let place = unsafe memory.at(memory.produced)
        let header = (claiming ?? UInt32(data.count)) | (isDiscarded ? discarded : 0) | (isBusy ? busy : 0)
        unsafe place.storeBytes(of: header, as: UInt32.self)
        unsafe UnsafeMutableRawBufferPointer(start: place + 8, count: data.count).copyBytes(from: data)
        memory.produced += advance ?? UInt64((data.count + 8 + 7) & ~7)
    }

    /// Takes everything back that the kernel has not taken.
    public func rewind() {
        memory.produced = memory.consumed
    }
}
