// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import Foundation
internal import SystemPackage
internal import TAP
internal import VMRunner

/// What is kept of a case during which a kernel broke, before its machine is ended.
struct CrashScene {
    let options: CrashOptions
    let kernel: String
    private(set) var hasCore = false

    init(options: CrashOptions, kernel: String) {
        self.options = options
        self.kernel = kernel
    }

    /// The machine has to outlive its guest.
    var keepsMachine: Bool { options.vmcore != .never }

    /// Whether an outcome is one whose vmcore is wanted.
    func wantsCore(_ outcome: Outcome, complained: Bool) -> Bool {
        guard !hasCore, case .failed(let blame) = outcome else { return false }
        switch options.vmcore {
        case .never: return false
        case .crash: return complained || blame == .kernel || blame == .timeout
        case .always: return blame != .absent && blame != .boot && blame != .missing
        }
    }

    /// Writes the machine's memory, and says where, or why not.
    mutating func writeCore(
        _ machine: Machine, name: CaseID, _ diagnostics: inout Diagnostics, others: (Machine.Event) -> Void
    ) {
        hasCore = true
        guard machine.end == nil else {
            diagnostics["vmcore_problem"] = "the machine was gone"
            return
        }
        do {
            try FileManager.default.createDirectory(
                atPath: options.vmcoreFolder.string, withIntermediateDirectories: true)
        } catch {
            diagnostics["vmcore_problem"] = "\(options.vmcoreFolder) cannot be made: \(Folders.reason(error))"
            return
        }
        let path = freeName(name)
        do {
            try machine.writeCore(to: path, byteLimit: options.vmcoreLimitMiB << 20, others: others)
            diagnostics["vmcore"] = path.string
        } catch {
            diagnostics["vmcore_problem"] = "not written: \(error)"
        }
    }

    /// A name in the folder that no file has.
    private func freeName(_ name: CaseID) -> FilePath {
        let plain = "\(kernel)-\(name.suite)-\(name.id)".map { character in
            character.isASCII && (character.isLetter || character.isNumber || "._+-".contains(character))
                ? character : "_"
        }
        let base = "vmcore-" + String(plain.prefix(180))
        var number = 1
        while true {
            let path = options.vmcoreFolder.appending(number == 1 ? base : "\(base)-\(number)")
            if !FileManager.default.fileExists(atPath: path.string) { return path }
            number += 1
        }
    }
}

extension Diagnostics {
    /// Says what the kernel complained of.
    mutating func add(_ complaints: [Complaint]) {
        guard let first = complaints.first else { return }
        self["splat_class"] = first.kind.rawValue
        self["splat_title"] = first.title
        var titles: [String] = []
        for title in complaints.dropFirst().map(\.title) where title != first.title && !titles.contains(title) {
            titles.append(title)
        }
        if !titles.isEmpty { self["splat_also"] = titles.joined(separator: "\n") }
        // The host's memory and a report's reader are spared what a guest can say without end.
        var text = complaints.map(\.text).joined(separator: "\n")
        if text.utf8.count > 256 << 10 { text = String(text.prefix(128 << 10)) + "\n…" }
        self["splat"] = text
    }

    /// The complaints of which a case's diagnostics tell.
    var complaints: [Complaint] {
        guard let text = self["splat"] else { return [] }
        var reader = ConsoleReader()
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) { reader.read(String(line)) }
        return reader.take()
    }
}
