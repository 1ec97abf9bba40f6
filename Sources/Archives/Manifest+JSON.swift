// SPDX-License-Identifier: Apache-2.0
internal import Foundation

extension Manifest {
    /// The file's text: the same for the same manifest.
    public func encoded() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        // Nothing in it can fail: strings, numbers, lists.
        guard let data = try? encoder.encode(self) else { preconditionFailure("a manifest is not JSON") }
        return Array(data) + [0x0a]
    }

    private struct Head: Decodable {
        var format: String
        var version: Int
    }

    /// Reads foreign text, and checks all of it.
    init(decoding bytes: [UInt8], in archive: String, format: String) throws(ArchiveError) {
        let data = Data(bytes)
        guard let head = try? JSONDecoder().decode(Head.self, from: data) else {
            throw .refused("\(archive): \(ArchiveLayout.manifest) is no manifest")
        }
        guard head.format == format else {
            throw .refused("\(archive) is a \(printable(head.format, limit: 40)), not a \(format)")
        }
        let known = Self.versions
        guard known.contains(head.version) else {
            let advice = head.version > known.upperBound ? ": a newer bpftest wrote it" : ""
            throw .refused(
                "\(archive) has version \(head.version), and this bpftest reads \(known.lowerBound) to "
                    + "\(known.upperBound)\(advice)")
        }
        do {
            self = try JSONDecoder().decode(Self.self, from: data)
        } catch let error as DecodingError {
            throw .refused("\(archive): \(ArchiveLayout.manifest) is no manifest: \(Self.reason(error))")
        } catch {
            throw .refused("\(archive): \(ArchiveLayout.manifest) is no manifest")
        }
        try check(archive)
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            context.codingPath.map(\.stringValue).joined(separator: ".") + " is not what it should be"
        @unknown default: "something in it is not what it should be"
        }
    }

    // MARK: Checks

    private func check(_ archive: String) throws(ArchiveError) {
        func refuse(_ what: String) -> ArchiveError { .refused("\(archive): \(ArchiveLayout.manifest): \(what)") }
        guard ArchiveLayout.isPlain(name) else { throw refuse("name is no plain word") }
        guard parts.count <= ArchiveLayout.countLimit else { throw refuse("it names \(parts.count) parts") }
        var seen: Set<String> = [ArchiveLayout.manifest]
        var total = 0
        for part in parts {
            guard ArchiveLayout.allows(part.path) else { throw refuse(ArchiveLayout.refusal(of: part.path)) }
            guard seen.insert(part.path).inserted else { throw refuse("\(part.path) is in it twice") }
            guard Digest.isDigest(part.sha256) else { throw refuse("\(part.path) has no SHA-256") }
            guard (0...ArchiveLayout.partLimit).contains(part.size) else {
                throw refuse("\(part.path) has \(part.size) bytes; \(ArchiveLayout.partLimit) are the limit")
            }
            if part.shared == true, bundle == nil { throw refuse("\(part.path) is shared, but there is no bundle") }
            total += part.size
        }
        guard total <= ArchiveLayout.totalLimit else {
            throw refuse("all parts have \(total) bytes; \(ArchiveLayout.totalLimit) are the limit")
        }
        if format == Self.bundleFormat { return }
        if let bundle, !ArchiveLayout.isPlain(bundle) { throw refuse("bundle is no plain word") }
        for needed in [ArchiveLayout.kernel, ArchiveLayout.guest, ArchiveLayout.job] where part(needed) == nil {
            throw refuse("\(needed) is missing")
        }
        guard let machine, let judge, failure != nil, calls != nil else {
            throw refuse("failure, machine, calls or judge is missing")
        }
        if let wrong = machine.problem ?? judge.problem { throw refuse(wrong) }
        guard judge.allowed == nil || version > 1 else { throw refuse("allowed is of version 2") }
    }
}

extension Manifest.Machine {
    /// What of it no machine can have: it is foreign text that ends on QEMU's command line.
    fileprivate var problem: String? {
        if !(64...65536).contains(memoryMiB) { return "memoryMiB is \(memoryMiB); 64 to 65536 are possible" }
        if !(1...64).contains(cpus) { return "cpus is \(cpus); 1 to 64 are possible" }
        if accelerator != "tcg", accelerator != "kvm" { return "accelerator is neither tcg nor kvm" }
        // COMMAND_LINE_SIZE of x86 is 2048.
        let isText = commandLine.utf8.allSatisfy { (0x20...0x7e).contains($0) }
        if !isText || commandLine.utf8.count > 2047 { return "commandLine is no kernel command line" }
        if cards.count > 16 || !cards.allSatisfy({ ArchiveLayout.isPlain($0) }) { return "cards are no names of cards" }
        return nil
    }
}

extension Manifest.Judge {
    fileprivate var problem: String? {
        if !(1...1_000_000).contains(seconds) { return "seconds is \(seconds); 1 to 1000000 are possible" }
        if !(1...1_000_000).contains(limit) { return "limit is \(limit); 1 to 1000000 are possible" }
        if let allowed {
            if !(1...AllowedComplaints.countLimit).contains(allowed.count) {
                return "allowed has \(allowed.count) expressions; 1 to \(AllowedComplaints.countLimit) are possible"
            }
            for pattern in allowed {
                if let why = AllowedComplaints.problem(pattern) {
                    return "allowed: '\(printable(pattern, limit: 100))' \(why)"
                }
            }
        }
        return nil
    }
}
