// SPDX-License-Identifier: Apache-2.0
internal import BTF
internal import Foundation
internal import SystemPackage

/// What the programs of an object need of a kernel, as `AGENT needs` says: docs/surface-format.md.
struct ObjectNeeds: Sendable, Equatable, Decodable {
    struct Program: Sendable, Equatable, Decodable {
        var name: String
        var section: String
        /// `enum bpf_prog_type`; 0: libbpf does not know the section.
        var type: Int64
        var attachType: Int64
        /// What it attaches to, which must be known when it is loaded.
        var target: Target?
        /// Ids.
        var helpers: [Int64]?
        /// Those that not every kernel knows, by number.
        var instructions: [Int64]?
        var externals: [External]?
        var relocations: [Relocation]?
    }

    struct Target: Sendable, Equatable, Decodable {
        var name: String
        var kind: UInt32
    }

    /// A symbol that the kernel is to define.
    struct External: Sendable, Equatable, Decodable {
        enum Kind: String, Sendable, Decodable {
            case kfunc
            case variable
            /// An address without a type.
            case symbol
            case config
        }

        var name: String
        var kind: Kind
        /// libbpf does without where it is not there.
        var weak: Bool
        var called: Bool
        /// The program looks whether it is there.
        var asked: Bool
        var shape: String?
        var signature: String?
    }

    /// docs/surface-format.md has the numbers of kinds.
    struct Relocation: Sendable, Equatable, Decodable {
        var kind: UInt32
        var root: Root
        var path: [Step]
    }

    struct Root: Sendable, Equatable, Decodable {
        var kind: UInt32
        var name: String
        var shape: String
    }

    struct Step: Sendable, Equatable, Decodable {
        var name: String?
        var index: Int
        var shape: String
    }

    struct Map: Sendable, Equatable, Decodable {
        var name: String
        var type: Int64
    }

    struct StructOps: Sendable, Equatable, Decodable {
        var map: String
        var type: String
        var members: [String]
    }

    var programs: [Program]
    var maps: [Map]
    var structOps: [StructOps]
    /// Of all programs.
    var externals: [External]?

    /// Asks our own agent about object files, which it reads on this host.
    ///
    /// - Returns: what each needs, or what is wrong with it.
    static func read(
        _ files: [String], _ guestFiles: GuestFiles
    ) async throws(HarnessError) -> [Result<ObjectNeeds, ObjectFile.Problem>] {
        var answers: [Result<ObjectNeeds, ObjectFile.Problem>] = []
        for file in files {
            // One call for each: an object that takes the agent down takes only its own answer along.
            let answer = try await Tool.run(guestFiles.agent.string, ["needs", file], package: "bpftest")
            guard answer.succeeded, let line = answer.output.split(whereSeparator: \.isNewline).first else {
                answers.append(
                    .failure(
                        ObjectFile.Problem(
                            cause: "it cannot be read: "
                                + (answer.complaint.isEmpty ? "libbpf breaks" : answer.complaint),
                            advice: "build it again, or copy it again")))
                continue
            }
            answers.append(try parse(String(line), from: guestFiles.agent.string))
        }
        return answers
    }

    static func parse(
        _ line: String, from agent: String
    ) throws(HarnessError) -> Result<ObjectNeeds, ObjectFile.Problem> {
        struct Broken: Decodable {
            var problem: ObjectFile.Problem
        }
        let data = Data(line.utf8)
        if let broken = try? JSONDecoder().decode(Broken.self, from: data) { return .failure(broken.problem) }
        do {
            return .success(try JSONDecoder().decode(ObjectNeeds.self, from: data))
        } catch {
            throw .infrastructure("\(agent) needs: \(line.prefix(200)): \(error)")
        }
    }
}

extension ObjectFile.Problem: Error {}

extension ObjectNeeds.Relocation {
    /// Answers whether something is there, instead of needing it.
    var asks: Bool { [2, 8, 10, 12].contains(kind) }
    /// Is answered by the object alone.
    var isLocal: Bool { kind == 6 }
    var isField: Bool { kind <= 5 }
    var isValue: Bool { kind == 10 || kind == 11 }

    private var word: String {
        switch BTFKind(rawValue: root.kind) {
        case .structure: "struct "
        case .union: "union "
        case .enumeration, .wideEnumeration: "enum "
        default: ""
        }
    }

    /// The type that it starts from, in C.
    var typeName: String { word + (root.name.isEmpty ? "without a name" : root.name) }

    /// What it is about, in C: `struct sk_buff.cb[2]`.
    var name: String {
        path.reduce(typeName) { text, step in step.name.map { "\(text).\($0)" } ?? "\(text)[\(step.index)]" }
    }
}
