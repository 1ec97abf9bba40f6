// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
public import SystemPackage

/// What a device's hardware does for the kernel, as `ethtool -k` shows it.
///
/// - Source: include/uapi/linux/ethtool.h.
extension NetworkDevice {
    private static let getStrings: UInt32 = 0x1b
    private static let getSetInfo: UInt32 = 0x37
    private static let getFeatures: UInt32 = 0x3a
    private static let setFeatures: UInt32 = 0x3b
    private static let featureNames: UInt32 = 4
    private static let nameSize = 32

    /// Switches a feature, such as `rx-vlan-hw-parse`.
    ///
    /// - Returns: whether it is on now: a driver may have no choice.
    @discardableResult
    public func set(feature: String, to isOn: Bool) throws(Errno) -> Bool {
        let names = try featureNames()
        guard let number = names.firstIndex(of: feature) else { throw .invalidArgument }
        let blocks = (names.count + 31) / 32
        let bit = UInt32(1) << UInt32(number % 32)
        var request = [Self.setFeatures, UInt32(blocks)] + [UInt32](repeating: 0, count: 2 * blocks)
        request[2 + number / 32 * 2] = bit
        request[3 + number / 32 * 2] = isOn ? bit : 0
        // What cannot be had as wished is told by a flag, and by what is on afterwards.
        try ethtool(&request)
        var state = [Self.getFeatures, UInt32(blocks)] + [UInt32](repeating: 0, count: 4 * blocks)
        try ethtool(&state)
        // available, requested, active, never changed
        return state[2 + number / 32 * 4 + 2] & bit != 0
    }

    private func featureNames() throws(Errno) -> [String] {
        var info: [UInt32] = [Self.getSetInfo, 0, 1 << Self.featureNames, 0, 0]
        try ethtool(&info)
        let count = Int(info[4])
        guard info[2] != 0, count <= 1024 else { throw .notSupported }
        var strings = [Self.getStrings, Self.featureNames, UInt32(count)]
        strings += [UInt32](repeating: 0, count: count * Self.nameSize / 4)
        try ethtool(&strings)
        let bytes = strings[3...].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
        return (0..<count).map { index in
            let name = bytes[(index * Self.nameSize)..<((index + 1) * Self.nameSize)].prefix { $0 != 0 }
            return String(decoding: name, as: UTF8.self)
        }
    }

    private func ethtool(_ request: inout [UInt32]) throws(Errno) { try Self.ethtool(name, &request) }

    static func ethtool(_ name: String, _ request: inout [UInt32]) throws(Errno) {
        let result = unsafe request.withUnsafeMutableBytes { unsafe clinux_ethtool(name, $0.baseAddress) }
        _ = try Errno.check(result)
    }
}
