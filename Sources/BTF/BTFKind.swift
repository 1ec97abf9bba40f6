// SPDX-License-Identifier: Apache-2.0

/// The kinds of types.
///
/// - Source: Documentation/bpf/btf.rst; kinds 0 to 19 as of 7.3.
public enum BTFKind: UInt32, Sendable {
    case int = 1
    case pointer = 2
    case array = 3
    case structure = 4
    case union = 5
    case enumeration = 6
    case forward = 7
    case typedef = 8
    case volatile = 9
    case const = 10
    case restrict = 11
    case function = 12
    case prototype = 13
    case variable = 14
    case section = 15
    case float = 16
    case declarationTag = 17
    case typeTag = 18
    case wideEnumeration = 19

    /// What follows a type's first twelve bytes; nil for a kind that is not known.
    ///
    /// - Parameter count: of members, values, parameters.
    public static func extraBytes(_ kind: UInt32, count: Int) -> Int? {
        switch BTFKind(rawValue: kind) {
        case .int, .variable, .declarationTag: 4
        case .array: 12
        case .structure, .union, .section, .wideEnumeration: 12 * count
        case .enumeration, .prototype: 8 * count
        case .pointer, .forward, .typedef, .volatile, .const, .restrict, .function, .float, .typeTag: 0
        // Kind 0 stands for void and is in no blob.
        case nil: nil
        }
    }

    /// Stands in front of another type without being one: what relocations look through.
    var isTransparent: Bool {
        switch self {
        case .typedef, .volatile, .const, .restrict, .typeTag: true
        default: false
        }
    }

    public var isComposite: Bool { self == .structure || self == .union }
    public var isEnumeration: Bool { self == .enumeration || self == .wideEnumeration }
}

/// Bytes that are no BTF, or not whole.
public struct BTFError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
