// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// The devices whose receive and transmit paths are tested.
enum DeviceKind: String, CaseIterable {
    case virtioNet = "virtio_net"
    case e1000e
    case igb
    case veth
    case netkit

    /// The number of its card; nil: a device without hardware.
    var card: Int? {
        switch self {
        case .virtioNet: 0
        case .e1000e: 2
        case .igb: 3
        case .veth, .netkit: nil
        }
    }

    /// What it sends has to be whole: joined devices hand over what is still to be done.
    var hasWire: Bool { card != nil }

    /// Whether checksums have been looked at before the chain: by the card, or by GRO, which cards' drivers go through.
    var checksChecksums: Bool { card != nil }

    /// Whether its driver runs XDP itself.
    var hasNativeXDP: Bool { self != .e1000e && self != .netkit }

    /// The card that frames are redirected to.
    static let otherCard = 1

    var needs: [Feature] {
        switch self {
        case .virtioNet: [.tcx, .card(self, config: ["CONFIG_VIRTIO_NET"])]
        case .e1000e: [.tcx, .card(self, config: ["CONFIG_E1000E"])]
        case .igb: [.tcx, .card(self, config: ["CONFIG_IGB"])]
        case .veth: [.tcx, .cards]
        case .netkit: [.tcx, .netkit, .cards]
        }
    }
}

extension Feature {
    /// A machine with network cards: what tests of drivers run in.
    fileprivate static let cards = Feature("network cards", since: "5.10") {
        Wire.isPresent ? .present : .absent(evidence: "the machine was given none")
    }

    /// A driver that has taken a card.
    fileprivate static func card(_ kind: DeviceKind, config: [String]) -> Feature {
        Feature("\(kind.rawValue)", since: "5.10", config: config) {
            guard Wire.isPresent else { return .absent(evidence: "the machine was given no network cards") }
            guard let card = kind.card, NetworkDevice(card: card) == nil else { return .present }
            // That QEMU does not have the card is no fault of the kernel: cases say so.
            guard let wire = try? Wire(), card < wire.cards.count else { return .present }
            return .absent(evidence: "no driver has taken the card \(wire.cards[card])")
        }
    }
}
