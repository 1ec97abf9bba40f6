// SPDX-License-Identifier: Apache-2.0

/// Finds the kernel's complaints in its console, and the cases during which they came.
///
/// An agent announces each case on the console too (docs/agent-output.md): it may be some cases ahead of what has been
/// read of its output, and only the console's own order tells which case a complaint belongs to.
///
/// Lines of several processors are told apart where printk says who wrote them. What is kept is bounded, whatever the
/// guest writes.
public struct ConsoleReader: Sendable {
    /// Complaints in the order in which they began, and have not been taken.
    public var complaints: [Complaint] { stored.map(\.complaint).filter { !isAllowed($0) } }
    /// The case that the console announced last, as SUITE/CASE.
    public private(set) var announced: String?
    /// What programs that have been loaded were made from, as far as the agent was asked to tell.
    public private(set) var programs = BPFLines()
    /// Complaints that were passed over because somebody said that they may come, by the pattern that did.
    public private(set) var passedOver: [String: Int] = [:]

    /// What may come without being a failure.
    public var allowlist: SplatAllowlist?

    private static let announcement = "bpftest: case "
    /// GuestInit's OutputMarks.
    private static let outputMark = "bpftest: output "
    private static let ours = "bpftest: "
    static let linesKept = 300
    static let complaintsKept = 32
    private static let callersKept = 64

    private struct Entry: Sendable {
        var number: Int
        var complaint: Complaint
    }

    private var stored: [Entry] = []
    private var nextNumber = 0
    /// The last mark of how much output there was.
    private var output: UInt64?
    /// By who writes; "" where printk does not say.
    private var writers: [String: Writer] = [:]
    /// The complaint that began last: a panic may be its consequence though it has ended.
    private var latest: Int?

    /// What one writer is at.
    private struct Writer: Sendable {
        /// Complaints that are not complete, the innermost last.
        var open: [Open] = []
        /// Lines since one that says "cut here": they belong to the complaint that comes.
        var pending: [String]?
    }

    private struct Open: Sendable {
        var number: Int
        var progress: ReportProgress
    }

    public init(allowlist: SplatAllowlist? = nil) {
        self.allowlist = allowlist
    }

    /// Takes the console's next line.
    public mutating func read(_ line: String) {
        let line = ConsoleLine(line)
        if line.text.utf8.first == UInt8(ascii: "b"), line.text.hasPrefix(Self.ours) {
            readOurs(line)
            return
        }
        let writer = line.caller ?? ""
        if writers[writer] == nil {
            // Tasks come and go; a complaint of one that has gone has got all its lines.
            if writers.count >= Self.callersKept { writers = writers.filter { !$0.value.open.isEmpty } }
            if writers.count >= Self.callersKept { writers.removeAll() }
        }
        read(line.text, of: writer)
    }

    private mutating func readOurs(_ line: ConsoleLine) {
        if line.text.hasPrefix(Self.announcement) {
            announced = String(line.text.dropFirst(Self.announcement.count))
            // Of other writers' complaints lines may still come.
            writers[line.caller ?? ""] = nil
            latest = nil
        } else if line.text.hasPrefix(Self.outputMark) {
            if let count = UInt64(line.text.dropFirst(Self.outputMark.count)) { output = count }
        } else {
            programs.read(line.text.dropFirst(Self.ours.count))
        }
    }

    private mutating func read(_ text: String, of name: String) {
        var writer = writers[name] ?? Writer()
        defer { writers[name] = writer.open.isEmpty && writer.pending == nil ? nil : writer }
        if text.hasPrefix("------------[ cut here ]") {
            flush(&writer)
            writer.pending = [text]
            return
        }
        let kind = Trigger.kind(of: text)
        if let kind, !belongs(text, kind, &writer) {
            begin(kind, text, &writer)
        } else if writer.pending != nil, kind == nil {
            writer.pending?.append(text)
            // A line that only looks like the beginning of a complaint.
            if (writer.pending?.count ?? 0) > 12 { flush(&writer) }
        } else if kind == nil {
            go(on: text, &writer)
        }
    }

    /// Whether a line that could begin a complaint is part of one that is there, to which it is added then.
    private mutating func belongs(_ text: String, _ kind: Complaint.Kind, _ writer: inout Writer) -> Bool {
        if kind == .panic {
            // Of a panic the kernel says why: with a consequence as its reason it is no trouble of its own.
            guard let index = stored.firstIndex(where: { $0.number == (writer.open.last?.number ?? latest) }),
                ReportProgress.isConsequence(text)
            else { return false }
            flush(&writer)
            stored[index].complaint.hasPanicked = true
            let number = stored[index].number
            if !writer.open.contains(where: { $0.number == number }) {
                writer.open.append(Open(number: number, progress: ReportProgress(.panic)))
            }
            add(text, to: number)
            return true
        }
        guard let last = writer.open.last, writer.pending == nil,
            let complaint = stored.first(where: { $0.number == last.number })?.complaint
        else { return false }
        switch (complaint.kind, kind) {
        case (.oops, .oops), (.bug, .oops):
            // "BUG: kernel NULL pointer dereference", then "Oops: 0002 [#1]"; "kernel BUG at", then "invalid opcode".
            guard text.contains("[#"), !complaint.lines.contains(where: { $0.contains("[#") }) else { return false }
        case (.refcount, .warning):
            guard !complaint.lines.contains(where: { $0.hasPrefix("WARNING: ") }) else { return false }
        case (.warning, .refcount):
            // Since 6.19 the message comes behind the line with the place.
            guard let index = stored.firstIndex(where: { $0.number == last.number }), complaint.lines.count < 4 else {
                return false
            }
            stored[index].complaint.kind = .refcount
            // As in front of 6.19, it is the message that tells what it is.
            stored[index].complaint.headline = complaint.lines.count
        case (.oomKill, .oomKill): break
        case (.unregisterNetdevice, .unregisterNetdevice), (.kmemleak, .kmemleak): return false
        default: return false
        }
        add(text, to: last.number)
        return true
    }

    private mutating func begin(_ kind: Complaint.Kind, _ text: String, _ writer: inout Writer) {
        let before = writer.pending ?? []
        writer.pending = nil
        // A complaint within another has an end by which the outer one goes on; else the outer one is over.
        if let last = writer.open.last, before.isEmpty || !last.progress.mayHoldAnother || writer.open.count > 3 {
            writer.open.removeLast()
        }
        var complaint = Complaint(
            kind: kind, lines: before + [text], headline: before.count, during: announced, output: output)
        if kind == .panic { complaint.hasPanicked = true }
        if let same = stored.last, kind == .unregisterNetdevice || kind == .oomKill,
            same.complaint.kind == kind, same.complaint.during == announced, same.complaint.title == complaint.title
        {
            // It comes every ten seconds for as long as the device is held.
            stored[stored.count - 1].complaint.repeats += 1
            return
        }
        guard stored.count < Self.complaintsKept else { return }
        let number = nextNumber
        nextNumber += 1
        stored.append(Entry(number: number, complaint: complaint))
        latest = number
        if kind != .unregisterNetdevice {
            writer.open.append(Open(number: number, progress: ReportProgress(kind)))
        }
    }

    private mutating func go(on text: String, _ writer: inout Writer) {
        while let last = writer.open.indices.last {
            switch writer.open[last].progress.read(text) {
            case .part:
                add(text, to: writer.open[last].number)
                return
            case .end:
                add(text, to: writer.open[last].number)
                writer.open.removeLast()
                return
            case .none:
                // What comes behind it may go on with the one that it came in between.
                writer.open.removeLast()
            }
        }
    }

    /// Lines after "cut here" that no complaint came behind.
    private mutating func flush(_ writer: inout Writer) {
        guard let lines = writer.pending else { return }
        writer.pending = nil
        for line in lines { go(on: line, &writer) }
    }

    private mutating func add(_ text: String, to number: Int) {
        guard let index = stored.lastIndex(where: { $0.number == number }) else { return }
        if stored[index].complaint.lines.count < Self.linesKept {
            stored[index].complaint.lines.append(text)
        } else {
            stored[index].complaint.linesLeftOut += 1
        }
    }

    // MARK: Handing out

    /// Hands out the complaints that belong to a case.
    ///
    /// - Parameter belongs: whether a complaint that came during the given case is wanted.
    public mutating func take(_ belongs: (String?) -> Bool = { _ in true }) -> [Complaint] {
        take { belongs($0.during) }
    }

    /// Hands out the complaints that came before a place in a program's output.
    ///
    /// - Parameter end: bytes of stdout.
    public mutating func take(beforeOutput end: UInt64) -> [Complaint] {
        take { $0.output.map { $0 < end } ?? true }
    }

    private mutating func take(where isWanted: (Complaint) -> Bool) -> [Complaint] {
        var taken: [Complaint] = []
        stored.removeAll { entry in
            guard isWanted(entry.complaint) else { return false }
            taken.append(entry.complaint)
            return true
        }
        return taken.filter { complaint in
            guard let pattern = allowlist?.pattern(for: complaint) else { return true }
            passedOver[pattern, default: 0] += 1
            return false
        }
    }

    private func isAllowed(_ complaint: Complaint) -> Bool { allowlist?.pattern(for: complaint) != nil }
}
