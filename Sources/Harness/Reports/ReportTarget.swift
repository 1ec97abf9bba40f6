// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// A report that is to go to a file: `--report html=page.html`.
public struct ReportTarget: Sendable, Equatable {
    public var format: ReportFormat
    public var file: FilePath

    public init(_ format: ReportFormat, file: FilePath) {
        self.format = format
        self.file = file
    }

    /// Reads `FORMAT=FILE`.
    ///
    /// - Throws: `.usage`, with the formats there are.
    public init(argument: String) throws(HarnessError) {
        guard let sign = argument.firstIndex(of: "="), argument.index(after: sign) < argument.endIndex else {
            throw .usage("--report wants FORMAT=FILE, such as html=report.html, not \(argument)")
        }
        format = try ReportFormat(named: argument[..<sign])
        file = FilePath(String(argument[argument.index(after: sign)...]))
    }

    /// Says before a run that its report could not be written after it.
    public func check() throws(HarnessError) { try Self.check(file) }

    /// Says before a run that a file could not be written after it.
    public static func check(_ file: FilePath) throws(HarnessError) {
        switch Place(file) {
        case .folder: throw .usage("\(file) is a folder: name the file that the report goes to")
        case .special: return
        case .file, .nothing:
            let folder = destination(of: file).removingLastComponent()
            let path = folder.isEmpty ? "." : folder
            guard Place(path) == .folder else { throw .usage("\(file): there is no folder \(path)") }
            guard FileManager.default.isWritableFile(atPath: path.string) else {
                throw .usage("\(file): files cannot be made in \(path)")
            }
        }
    }

    /// Writes the report; a file is there whole or as it was before.
    public func write(_ results: RunResults) throws(HarnessError) {
        try check()
        do {
            if Place(file) == .special {
                // A pipe, /dev/stdout, /dev/null: to be written to, and not to be replaced by a file.
                try write(results, to: try FileDescriptor.open(file, .writeOnly))
            } else {
                try replace(Self.destination(of: file), results)
            }
        } catch {
            throw .infrastructure("\(file) cannot be written: \(error)")
        }
    }

    /// Where a link leads: the link stays.
    private static func destination(of file: FilePath) -> FilePath {
        Place(file) == .file
            ? FilePath(URL(fileURLWithPath: file.string).resolvingSymlinksInPath().path) : file
    }

    private func replace(_ file: FilePath, _ results: RunResults) throws {
        let name = ".\(file.lastComponent?.string ?? "report").\(ProcessInfo.processInfo.processIdentifier)"
        let temporary = file.removingLastComponent().appending(name)
        let descriptor = try FileDescriptor.open(
            temporary, .writeOnly, options: [.create, .truncate, .noFollow],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        do {
            try write(results, to: descriptor)
            guard unsafe rename(temporary.string, file.string) == 0 else { throw Errno(rawValue: errno) }
        } catch {
            // The trouble itself is what is told.
            try? FileManager.default.removeItem(atPath: temporary.string)
            throw error
        }
    }

    private func write(_ results: RunResults, to descriptor: FileDescriptor) throws {
        try descriptor.closeAfter {
            // Pieces are small: a page has as many as cases.
            var waiting: [UInt8] = []
            try format.render(results) { text in
                waiting.append(contentsOf: text.utf8)
                guard waiting.count >= 1 << 16 else { return }
                try descriptor.writeAll(waiting)
                waiting.removeAll(keepingCapacity: true)
            }
            try descriptor.writeAll(waiting)
        }
    }

    /// What is at a path, behind links.
    private enum Place {
        case nothing, file, folder, special

        init(_ path: FilePath) {
            var status = stat()
            guard unsafe stat(path.string, &status) == 0 else {
                self = .nothing
                return
            }
            switch status.st_mode & S_IFMT {
            case S_IFREG: self = .file
            case S_IFDIR: self = .folder
            default: self = .special
            }
        }
    }
}

extension ReportTarget {
    /// Runs something and writes the reports of what a collector kept of it, also of a run that bailed out.
    ///
    /// - Throws: what the run throws, else the first report's trouble; the other reports are written nevertheless.
    public static func writing<Value>(
        _ targets: [ReportTarget], of collector: ResultCollector?, _ run: () throws(HarnessError) -> Value
    ) throws(HarnessError) -> Value {
        let value: Result<Value, HarnessError>
        do throws(HarnessError) {
            value = .success(try run())
        } catch {
            value = .failure(error)
        }
        var trouble: HarnessError?
        for target in targets {
            do throws(HarnessError) {
                if let collector { try target.write(collector.results) }
            } catch {
                trouble = trouble ?? error
            }
        }
        let result = try value.get()
        if let trouble { throw trouble }
        return result
    }
}

extension ReportFormat {
    /// - Throws: `.usage`, with the names there are.
    public init(named name: some StringProtocol) throws(HarnessError) {
        guard let format = ReportFormat(rawValue: String(name)) else {
            let names = Self.allCases.map(\.rawValue).joined(separator: ", ")
            throw .usage("no report is called \(name): there are \(names)")
        }
        self = format
    }
}
