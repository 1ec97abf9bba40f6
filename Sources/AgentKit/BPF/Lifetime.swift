// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
public import SystemPackage

extension BPFInfo {
    /// What has ids of its own.
    public enum Kind: Sendable {
        case program, link
    }

    /// Whether an id is in use. No reference is taken meanwhile.
    public static func exists(_ kind: Kind, _ id: UInt32) throws(Errno) -> Bool {
        var attr = Attr(size: 16)
        attr.set(id - 1, at: 0)
        switch attr.call(kind == .program ? .progGetNextID : .linkGetNextID) {
        case .success: return attr.get(at: 4) == id
        case .failure(.noSuchFileOrDirectory): return false
        case .failure(let errno): throw errno
        }
    }

    /// Waits until none of the ids is in use: the last reference may be put by the kernel's workers, or after a grace
    /// period.
    ///
    /// - Returns: those that are in use when the time is over.
    public static func stillThere(
        _ kind: Kind, _ ids: [UInt32], after limit: Duration = .seconds(4)
    ) throws(Errno) -> [UInt32] {
        let end = ContinuousClock.now + limit
        var poller = Poller()
        while true {
            var left: [UInt32] = []
            for id in ids where try exists(kind, id) { left.append(id) }
            if left.isEmpty || ContinuousClock.now > end { return left }
            GracePeriods.pass()
            // Nothing to wait for: lets the kernel's workers run.
            _ = try poller.wait(.milliseconds(1))
        }
    }
}

/// `struct bpf_link_info` of a link to a device.
public struct DeviceLinkInfo: Sendable, Equatable {
    /// `enum bpf_link_type`: 11 for tcx, 13 for netkit.
    public var type: UInt32
    public var id: UInt32
    public var program: UInt32
    /// 0 when the link holds on to no device any more.
    public var ifindex: UInt32
    public var attachType: UInt32

    public init(type: UInt32, id: UInt32, program: UInt32, ifindex: UInt32, attachType: UInt32) {
        self.type = type
        self.id = id
        self.program = program
        self.ifindex = ifindex
        self.attachType = attachType
    }
}

extension BPFLink {
    public func deviceInfo() -> Result<DeviceLinkInfo, Errno> {
        BPFInfo.info(raw, size: 80).map { bytes in
            DeviceLinkInfo(
                type: UInt32(bytes, at: 0), id: UInt32(bytes, at: 4), program: UInt32(bytes, at: 8),
                ifindex: UInt32(bytes, at: 16), attachType: UInt32(bytes, at: 20))
        }
    }

    /// What /proc/self/fdinfo says of the link after a word, such as `ifindex`.
    public func fdinfo(_ word: String) throws(Errno) -> String? {
        let file = FileHandle(try Descriptors.open("/proc/self/fdinfo/\(raw)", O_RDONLY))
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = try file.read(into: &chunk)
            if count == 0 { break }
            text += chunk[..<count]
        }
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":"), line[..<colon] == word else { continue }
            return String(line[line.index(after: colon)...].drop { $0 == "\t" || $0 == " " })
        }
        return nil
    }
}
