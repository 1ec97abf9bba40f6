// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// What a kernel offers to BPF programs: docs/surface-format.md.
public struct Surface: Sendable, Equatable, Codable {
    /// Grows when a reader of the old one would misread the new.
    public static let currentVersion = 1
    public static let currentFormat = "bpftest-surface"

    public var format = Surface.currentFormat
    public var version = Surface.currentVersion
    /// `uname -r`.
    public var kernel: String
    /// By id.
    public var helpers: [Named] = []
    /// By name and module.
    public var kfuncs: [Kfunc] = []
    public var programTypes: [Named] = []
    public var mapTypes: [Named] = []
    public var attachTypes: [Named] = []
    public var linkTypes: [Named] = []
    /// Those that not every kernel knows, by the numbers of docs/surface-format.md.
    public var instructions: [Named] = []
    /// What could not be found out, a sentence each.
    public var notes: [String] = []

    /// A name with its number in the kernel's interface.
    public struct Named: Sendable, Equatable, Codable {
        public var name: String
        public var value: Int64
        /// Whether the kernel took it when it was tried; nil: it was not, or the answer does not tell.
        public var accepted: Bool?

        public init(name: String, value: Int64, accepted: Bool? = nil) {
            self.name = name
            self.value = value
            self.accepted = accepted
        }
    }

    /// A kernel function that programs can call.
    public struct Kfunc: Sendable, Equatable, Codable {
        public var name: String
        /// `vmlinux`, or the module that brings it.
        public var module: String
        /// C, without the function's name: `struct task_struct *(struct task_struct *p)`.
        public var prototype: String
        /// The prototype without the names of parameters, but for what the verifier reads of them.
        public var signature: String
        /// `KF_ACQUIRE` and so on, by bit; nil: not known.
        public var flags: [String]?
        /// What it is registered for, by name: kinds of programs, as `enum btf_kfunc_hook` has them; nil: not known.
        public var hooks: [String]?

        public init(
            name: String, module: String = "vmlinux", prototype: String, signature: String, flags: [String]?,
            hooks: [String]?
        ) {
            self.name = name
            self.module = module
            self.prototype = prototype
            self.signature = signature
            self.flags = flags
            self.hooks = hooks
        }
    }

    public init(kernel: String) {
        self.kernel = kernel
    }

    // MARK: Areas

    /// The lists of names with numbers.
    public enum Area: String, Sendable, CaseIterable, Codable {
        case helpers = "helper"
        case programTypes = "program type"
        case mapTypes = "map type"
        case attachTypes = "attach type"
        case linkTypes = "link type"
        case instructions = "instruction"

        /// For headings.
        public var title: String {
            switch self {
            case .helpers: "Helpers"
            case .programTypes: "Program types"
            case .mapTypes: "Map types"
            case .attachTypes: "Attach types"
            case .linkTypes: "Link types"
            case .instructions: "Instructions"
            }
        }
    }

    public subscript(area: Area) -> [Named] {
        get {
            switch area {
            case .helpers: helpers
            case .programTypes: programTypes
            case .mapTypes: mapTypes
            case .attachTypes: attachTypes
            case .linkTypes: linkTypes
            case .instructions: instructions
            }
        }
        set {
            switch area {
            case .helpers: helpers = newValue
            case .programTypes: programTypes = newValue
            case .mapTypes: mapTypes = newValue
            case .attachTypes: attachTypes = newValue
            case .linkTypes: linkTypes = newValue
            case .instructions: instructions = newValue
            }
        }
    }

    // MARK: JSON

    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    /// The same bytes for the same surface.
    public func json() throws(HarnessError) -> String { try Self.json(self) }

    static func json(_ value: some Encodable) throws(HarnessError) -> String {
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
        } catch {
            throw .infrastructure("JSON: \(error)")
        }
    }

    /// Reads what `json` made.
    public init(json: String) throws(SurfaceError) {
        struct Head: Decodable {
            var format: String
            var version: Int
        }
        let data = Data(json.utf8)
        do {
            let head = try JSONDecoder().decode(Head.self, from: data)
            guard head.format == Self.currentFormat else { throw SurfaceError("it is a \(head.format)") }
            guard head.version == Self.currentVersion else {
                throw SurfaceError("it is of version \(head.version); this bpftest reads \(Self.currentVersion)")
            }
            self = try JSONDecoder().decode(Surface.self, from: data)
        } catch let error as SurfaceError {
            throw error
        } catch {
            throw SurfaceError("it is no surface as docs/surface-format.md has it: \(Self.reason(error))")
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case DecodingError.keyNotFound(let key, _): "\(key.stringValue) is missing"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
            context.codingPath.map(\.stringValue).joined(separator: ".") + ": \(context.debugDescription)"
        default: "not JSON"
        }
    }
}
