// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// The virtio-serial ports to the host, open.
final class Ports {
    let control: OwnedFD
    let output: OwnedFD
    let error: OwnedFD

    /// How long the ports may take to appear after the last module has been loaded.
    private static let limit = Duration.seconds(20)

    /// Loads the guest image's modules and opens the ports.
    ///
    /// - Parameter notes: gets a sentence for each optional module that did not load.
    /// - Throws: when a required module does not load or a port does not appear.
    init(loading notes: inout [String]) throws {
        // Listening before the modules are loaded: no announcement of a port can be missed.
        let announcements = try Self.openUevents()
        try Modules.load(&notes)
        let found = try Self.wait(announcements)
        control = try Self.open(found, PortName.control)
        output = try Self.open(found, PortName.standardOutput)
        error = try Self.open(found, PortName.standardError)
    }

    /// Waits until all ports have their device files.
    private static func wait(_ announcements: borrowing OwnedFD) throws -> [String: String] {
        let deadline = ContinuousClock.now + Self.limit
        var found = Self.scan()
        var poller = Poller()
        poller.add(announcements.raw, .read)
        var message = [UInt8](repeating: 0, count: 8192)
        while found.count < PortName.all.count {
            let left = deadline - .now
            guard left > .zero else {
                throw Self.missing(found)
            }
            if try poller.wait(left) {
                // The content does not matter: every announcement is a reason to look again, and so is ENOBUFS,
                // which says that some were dropped.
                do {
                    _ = try announcements.read(into: &message)
                } catch {
                    if error != .noBufferSpace { throw error }
                }
            }
            found = Self.scan()
        }
        return found
    }

    private static func missing(_ found: [String: String]) -> InitError {
        let names = PortName.all.filter { found[$0] == nil }.joined(separator: ", ")
        return InitError(
            "no virtio-serial port named \(names) appeared: the kernel needs CONFIG_VIRTIO_PCI and "
                + "CONFIG_VIRTIO_CONSOLE, built in or as modules of the guest image")
    }

    private static func open(_ found: [String: String], _ name: String) throws -> OwnedFD {
        guard let device = found[name] else { throw InitError("port \(name) went away") }
        do {
            return try Descriptors.open(device, O_RDWR)
        } catch {
            throw InitError("\(device) (\(name)) cannot be opened: \(error.name)")
        }
    }

    /// Port name -> device path, for the ports whose device file exists.
    private static func scan() -> [String: String] {
        var found: [String: String] = [:]
        for entry in directory("/sys/class/virtio-ports") {
            // The name file is empty or missing until the host has told the port's name.
            guard let bytes = try? readFile("/sys/class/virtio-ports/\(entry)/name") else { continue }
            let name = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
            let device = "/dev/\(entry)"
            if unsafe access(device, F_OK) == 0 { found[name] = device }
        }
        return found
    }

    static func directory(_ path: String) -> [String] {
        guard let stream = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// A socket on which the kernel announces devices.
    private static func openUevents() throws(Errno) -> OwnedFD {
        let socket = OwnedFD(
            adopting: try Errno.check(
                socket(
                    AF_NETLINK, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), CInt(NETLINK_KOBJECT_UEVENT))))
        var address = sockaddr_nl()
        address.nl_family = UInt16(AF_NETLINK)
        address.nl_groups = 1
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
            }
        }
        _ = try Errno.check(result)
        return socket
    }
}
