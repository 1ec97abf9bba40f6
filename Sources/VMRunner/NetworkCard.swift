// SPDX-License-Identifier: Apache-2.0

/// A network card of a machine: QEMU's arguments for it, and for the cable that ends in this process.
public enum NetworkCard: String, Sendable, Codable, CaseIterable {
    case virtioNet = "virtio-net"
    case e1000e
    case igb

    /// The name of QEMU's device; no option ROM: nobody boots from it.
    private var device: String {
        switch self {
        case .virtioNet: "virtio-net-pci"
        case .e1000e, .igb: rawValue
        }
    }

    /// The first release of QEMU that has it.
    var firstQEMU: (major: Int, minor: Int) {
        switch self {
        // Both since long ago, but `-netdev stream` came with 7.2.
        case .virtioNet, .e1000e: (7, 2)
        case .igb: (8, 0)
        }
    }

    /// Whether a QEMU can give it to a machine.
    public func isSupported(by qemu: QEMU) -> Bool {
        let parts = qemu.version.split(separator: ".").map { Int($0) ?? 0 }
        return parts.count > 1 && (parts[0], parts[1]) >= firstQEMU
    }

    /// The address by which the guest finds the card of that number: locally administered.
    public static func address(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return "02:62:70:66:00:" + (digits.count == 1 ? "0" + digits : digits)
    }

    /// QEMU's arguments.
    ///
    /// - Parameters:
    ///   - number: the card's, which says its address.
    ///   - socket: the descriptor, inside QEMU, of a connected stream socket: each frame behind its length in 32 bits,
    ///     big endian (QEMU's net/stream.c). Nil: a card without a cable.
    func arguments(number: Int, socket: CInt?) -> [String] {
        var line: [String] = []
        let card = "\(device),mac=\(Self.address(number)),romfile="
        guard let socket else { return ["-device", card] }
        line += ["-netdev", "stream,id=net\(number),addr.type=fd,addr.str=\(socket)"]
        line += ["-device", "\(card),netdev=net\(number)"]
        return line
    }
}
