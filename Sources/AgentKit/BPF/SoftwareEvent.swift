// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
public import SystemPackage

/// One of the kernel's own perf events in one process, which programs of type perf_event run on each time it comes.
public final class SoftwareEvent {
    /// `enum perf_sw_ids`, as far as suites use it.
    public enum Kind: UInt64, Sendable {
        case pageFaults = 2
        case contextSwitches = 3
    }

    private let handle: FileHandle

    /// - Parameter pid: 0 for the calling process.
    public init(_ kind: Kind, pid: Int32 = 0) throws(Errno) {
        handle = FileHandle(adopting: try Errno.check(clinux_software_event(kind.rawValue, pid)))
    }

    /// BPF_LINK_CREATE with BPF_PERF_EVENT (5.15).
    public func createLink(_ program: CInt) -> Result<BPFLink, Errno> {
        var attr = Attr(size: 64)
        attr.set(program, at: 0)
        attr.set(handle.raw, at: 4)
        attr.set(UInt32(41), at: 8)
        return attr.call(.linkCreate).map { BPFLink(adopting: $0) }
    }
}
