// SPDX-License-Identifier: Apache-2.0
public import LinuxIO
public import SystemPackage

/// A descriptor that several owners may share; closed with the last of them, or when told to.
public final class FileHandle {
    private var descriptor: OwnedFD?

    public init(_ descriptor: consuming OwnedFD) {
        self.descriptor = consume descriptor
    }

    public convenience init(adopting raw: CInt) {
        self.init(OwnedFD(adopting: raw))
    }

    /// The number; -1 after `close`.
    public var raw: CInt {
        descriptor?.raw ?? -1
    }

    public func close() {
        descriptor = nil
    }

    public func read(into buffer: inout [UInt8]) throws(Errno) -> Int {
        try descriptor?.read(into: &buffer) ?? 0
    }

    public func writeAll(_ bytes: [UInt8]) throws(Errno) {
        guard try descriptor?.writeAll(bytes) != nil else { throw .badFileDescriptor }
    }
}
