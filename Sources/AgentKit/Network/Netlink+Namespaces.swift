// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// Devices and names between network namespaces.
///
/// - Source: include/uapi/linux/{net_namespace,if_link}.h.
extension Netlink {
    private static let newNamespaceID: UInt16 = 88
    private static let idAttribute: UInt16 = 1
    private static let descriptorAttribute: UInt16 = 3
    private static let linkNamespaceAttribute: UInt16 = 28

    /// Gives another network namespace a number in the caller's.
    public static func assign(id: UInt32, to namespace: CInt) throws(Errno) {
        var message = Message()
        message.word32(0)
        message.number(idAttribute, id)
        message.number(descriptorAttribute, UInt32(bitPattern: namespace))
        try talk(newNamespaceID, [], message)
    }

    /// Moves a device to another network namespace, where it is down.
    public static func move(_ device: String, to namespace: CInt) throws(Errno) {
        var message = Message.link(index: try index(device), flags: 0, change: 0)
        message.number(linkNamespaceAttribute, UInt32(bitPattern: namespace))
        try talk(newLink, [], message)
    }
}

extension Netlink.Message {
    /// An attribute of 32 bits.
    mutating func number(_ type: UInt16, _ value: UInt32) {
        word32(8 | UInt32(type) << 16)
        word32(value)
    }
}
