// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// IPsec states in the caller's network namespace, as netlink makes them.
///
/// - Source: include/uapi/linux/xfrm.h.
public enum IPsec {
    private static let family: CInt = 6  // NETLINK_XFRM
    private static let deleteState: UInt16 = 0x11
    private static let allocateSPI: UInt16 = 0x16
    private static let markAttribute: UInt16 = 21
    private static let ipv4: UInt32 = 2
    private static let esp: UInt32 = 50

    /// Makes a state that waits for its keys: it can be looked up like any other, and needs no cipher.
    ///
    /// - Parameters:
    ///   - destination: as on the wire, like `spi`.
    ///   - mark: the only one that the state is for; nil: any.
    public static func add(destination: UInt32, spi: UInt32, mark: UInt32? = nil) throws(Errno) {
        var message = Netlink.Message()
        // struct xfrm_userspi_info: xfrm_usersa_info, and the range to choose from.
        message.zeros(56)  // the selector
        message.word32(destination)
        message.zeros(12)
        message.word32(0)
        message.word32(esp)
        message.word32(UInt32(0x0a00_0063).byteSwapped)  // from 10.0.0.99
        message.zeros(12)
        message.zeros(64 + 32 + 12 + 4 + 4)  // lifetimes, statistics, seq, reqid
        message.word32(ipv4)  // and transport mode
        message.zeros(8)
        message.word32(spi.byteSwapped)
        message.word32(spi.byteSwapped)
        if let mark { message.words(markAttribute, [mark, 0xffff_ffff]) }
        try Netlink.talk(allocateSPI, [], message, family: family)
    }

    public static func delete(destination: UInt32, spi: UInt32, mark: UInt32? = nil) throws(Errno) {
        var message = Netlink.Message()
        message.word32(destination)
        message.zeros(12)
        message.word32(spi)
        message.word32(ipv4 | esp << 16)
        if let mark { message.words(markAttribute, [mark, 0xffff_ffff]) }
        try Netlink.talk(deleteState, [], message, family: family)
    }
}
