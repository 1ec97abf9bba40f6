// SPDX-License-Identifier: Apache-2.0
internal import AgentKit

/// The kinds of lists that bpf_mprog holds for devices.
enum Flavour: String, CaseIterable, Sendable {
    /// tcx, on what comes in through a device and what leaves through it.
    case ingress, egress
    /// netkit, on what the primary sends and what its peer sends.
    case primary, peer

    static let tcx: [Flavour] = [.ingress, .egress]
    static let netkit: [Flavour] = [.primary, .peer]

    init?(_ type: AttachType) {
        guard let flavour = Self.allCases.first(where: { $0.type == type }) else { return nil }
        self = flavour
    }

    var type: AttachType {
        switch self {
        case .ingress: .tcxIngress
        case .egress: .tcxEgress
        case .primary: .netkitPrimary
        case .peer: .netkitPeer
        }
    }

    var isNetkit: Bool { Self.netkit.contains(self) }

    /// `enum bpf_link_type` of links to such a list.
    var linkType: UInt32 { isNetkit ? 13 : 11 }

    var feature: Feature { isNetkit ? .netkit : .tcx }

    /// The other list of the same device.
    var opposite: Flavour {
        switch self {
        case .ingress: .egress
        case .egress: .ingress
        case .primary: .peer
        case .peer: .primary
        }
    }

    /// How lists of this kind are called in what a case says.
    var name: String {
        switch self {
        case .ingress, .egress: "\(rawValue)"
        case .primary, .peer: "netkit \(rawValue)"
        }
    }
}
