// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// What QEMU says on its monitor, one JSON object a line.
///
/// - Source: docs/interop/qmp-spec of QEMU 10.0.
public enum QMPMessage: Sendable, Equatable {
    case greeting
    /// An event's name, and its `data.reason` or `data.status` where it has one.
    case event(String, reason: String?)
    /// With the answer, where it is a text, as that of `human-monitor-command`.
    case reply(id: Int, text: String? = nil)
    case failure(id: Int?, String)

    static let lineLimit = 1 << 20

    init?(line: [UInt8]) {
        guard let object = (try? JSONSerialization.jsonObject(with: Data(line))) as? [String: Any] else { return nil }
        if object["QMP"] != nil {
            self = .greeting
        } else if let name = object["event"] as? String {
            let data = object["data"] as? [String: Any]
            self = .event(name, reason: (data?["reason"] ?? data?["status"]) as? String)
        } else if let error = object["error"] as? [String: Any] {
            self = .failure(id: object["id"] as? Int, error["desc"] as? String ?? "no description")
        } else if object["return"] != nil, let id = object["id"] as? Int {
            self = .reply(id: id, text: object["return"] as? String)
        } else {
            return nil
        }
    }

    /// A command's bytes on the wire.
    ///
    /// - Parameter arguments: a JSON object.
    static func command(_ name: String, arguments: String = "{}", id: Int) -> [UInt8] {
        Array(#"{"execute":"\#(name)","arguments":\#(arguments),"id":\#(id)}"#.utf8) + [UInt8(ascii: "\n")]
    }
}

/// Cuts the monitor's bytes into messages.
struct QMPDecoder {
    private var partial: [UInt8] = []

    /// - Returns: the messages that the bytes complete; nil when QEMU does not speak QMP.
    mutating func append(_ bytes: ArraySlice<UInt8>) -> [QMPMessage]? {
        var messages: [QMPMessage] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                if partial.allSatisfy({ $0 == UInt8(ascii: "\r") }) {
                    partial.removeAll()
                    continue
                }
                guard let message = QMPMessage(line: partial) else { return nil }
                messages.append(message)
                partial.removeAll(keepingCapacity: true)
            } else {
                guard partial.count < QMPMessage.lineLimit else { return nil }
                partial.append(byte)
            }
        }
        return messages
    }
}
