// SPDX-License-Identifier: Apache-2.0

extension HostMessage {
    public var type: FrameType {
        switch self {
        case .putFile: .putFile
        case .fileData: .fileData
        case .fileEnd: .fileEnd
        case .run: .run
        case .kill: .kill
        case .powerOff: .powerOff
        case .prepare: .prepare
        case .freeze: .freeze
        case .resume: .resume
        case .input: .input
        case .inputEnd: .inputEnd
        }
    }

    public func payload() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .putFile(let id, let path, let mode, let size):
            writer.append(id)
            writer.append(mode)
            writer.append(size)
            writer.append(path)
        case .fileData(let id, let bytes):
            writer.append(id)
            writer.append(bytes)
        case .fileEnd(let id, let checksum):
            writer.append(id)
            writer.append(checksum)
        case .run(let job), .prepare(let job):
            writer.append(job.id)
            writer.append(job.outputLimit)
            writer.append(UInt8((job.takesInput ? 1 : 0) | (job.marksOutput ? 2 : 0)))
            writer.append(job.workingDirectory)
            writer.append(job.arguments)
            writer.append(job.environment)
        case .kill(let id, let signal):
            writer.append(id)
            writer.append(signal)
        case .powerOff, .freeze:
            break
        case .resume(let resumption):
            writer.append(resumption.session)
            writer.append(resumption.unixNanoseconds)
            writer.append(resumption.entropy)
        case .input(let id, let bytes):
            writer.append(id)
            writer.append(bytes)
        case .inputEnd(let id):
            writer.append(id)
        }
        return writer.bytes
    }

    public init(type: FrameType, payload: some Collection<UInt8>) throws(FrameError) {
        var reader = ByteReader(payload)
        switch type {
        case .putFile:
            let id: UInt32 = try reader.integer()
            let mode: UInt32 = try reader.integer()
            let size: UInt64 = try reader.integer()
            self = .putFile(id: id, path: try reader.text(), mode: mode, size: size)
        case .fileData:
            let id: UInt32 = try reader.integer()
            self = .fileData(id: id, bytes: reader.remainder())
        case .fileEnd:
            self = .fileEnd(id: try reader.integer(), checksum: try reader.integer())
        case .run, .prepare:
            let id: UInt32 = try reader.integer()
            let limit: UInt64 = try reader.integer()
            let flags: UInt8 = try reader.integer()
            guard flags <= 3 else { throw .badValue("flags of a job of \(flags)") }
            let directory = try reader.text()
            let arguments = try reader.list()
            guard !arguments.isEmpty else { throw .badValue("a job without a program") }
            let job = Job(
                id: id, arguments: arguments, environment: try reader.list(), workingDirectory: directory,
                outputLimit: limit, takesInput: flags & 1 != 0, marksOutput: flags & 2 != 0)
            self = type == .run ? .run(job) : .prepare(job)
        case .kill:
            self = .kill(id: try reader.integer(), signal: try reader.integer())
        case .powerOff:
            self = .powerOff
        case .freeze:
            self = .freeze
        case .resume:
            let session: UInt64 = try reader.integer()
            guard session != 0 else { throw .badValue("session 0 is that of a booted guest") }
            let time: UInt64 = try reader.integer()
            guard reader.count == Resumption.entropyBytes else { throw .badValue("\(reader.count) bytes of entropy") }
            self = .resume(
                Resumption(session: session, unixNanoseconds: time, entropy: Array(reader.remainder())))
        case .input:
            let id: UInt32 = try reader.integer()
            self = .input(id: id, bytes: reader.remainder())
        case .inputEnd:
            self = .inputEnd(id: try reader.integer())
        case .hello, .fileStored, .started, .exited, .refused, .log, .prepared, .frozen, .inputTaken:
            throw .wrongDirection(type)
        }
        if reader.count > 0 { throw .trailingBytes(type, reader.count) }
    }
}

extension GuestMessage {
    public var type: FrameType {
        switch self {
        case .hello: .hello
        case .fileStored: .fileStored
        case .started: .started
        case .exited: .exited
        case .refused: .refused
        case .log: .log
        case .prepared: .prepared
        case .frozen: .frozen
        case .inputTaken: .inputTaken
        }
    }

    public func payload() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .hello(let hello):
            writer.append(hello.version)
            writer.append(hello.uptimeNanoseconds)
            writer.append(hello.release)
            writer.append(hello.notes)
        case .fileStored(let id), .prepared(let id):
            writer.append(id)
        case .frozen:
            break
        case .started(let id, let pid):
            writer.append(id)
            writer.append(pid)
        case .exited(let end):
            writer.append(end.id)
            switch end.cause {
            case .exited(let status):
                writer.append(UInt8(0))
                writer.append(status)
            case .signalled(let signal):
                writer.append(UInt8(1))
                writer.append(signal)
            case .outputLimit:
                writer.append(UInt8(2))
                writer.append(UInt8(0))
            }
            for number in [
                end.outputBytes, end.errorBytes, end.userMicroseconds, end.systemMicroseconds, end.maximumResidentKiB,
            ] {
                writer.append(number)
            }
        case .refused(let id, let errno, let reason):
            writer.append(id)
            writer.append(errno)
            writer.append(reason)
        case .log(let text):
            writer.append(text)
        case .inputTaken(let id, let count):
            writer.append(id)
            writer.append(count)
        }
        return writer.bytes
    }

    public init(type: FrameType, payload: some Collection<UInt8>) throws(FrameError) {
        var reader = ByteReader(payload)
        switch type {
        case .hello:
            let version: UInt32 = try reader.integer()
            // The rest of another version's hello need not have this form.
            guard version == guestProtocolVersion else {
                self = .hello(Hello(version: version, release: "", uptimeNanoseconds: 0, notes: []))
                return
            }
            let uptime: UInt64 = try reader.integer()
            self = .hello(
                Hello(
                    version: version, release: try reader.text(), uptimeNanoseconds: uptime, notes: try reader.list()))
        case .fileStored:
            self = .fileStored(id: try reader.integer())
        case .prepared:
            self = .prepared(id: try reader.integer())
        case .frozen:
            self = .frozen
        case .started:
            self = .started(id: try reader.integer(), pid: try reader.integer())
        case .exited:
            let id: UInt32 = try reader.integer()
            let kind: UInt8 = try reader.integer()
            let value: UInt8 = try reader.integer()
            let cause: JobEnd.Cause
            switch kind {
            case 0: cause = .exited(status: value)
            case 1: cause = .signalled(value)
            case 2: cause = .outputLimit
            default: throw .badValue("end of a job of kind \(kind)")
            }
            self = .exited(
                JobEnd(
                    id: id, cause: cause, outputBytes: try reader.integer(), errorBytes: try reader.integer(),
                    userMicroseconds: try reader.integer(), systemMicroseconds: try reader.integer(),
                    maximumResidentKiB: try reader.integer()))
        case .refused:
            let id: UInt32 = try reader.integer()
            self = .refused(id: id, errno: try reader.integer(), reason: try reader.text())
        case .log:
            self = .log(try reader.text())
        case .inputTaken:
            let id: UInt32 = try reader.integer()
            self = .inputTaken(id: id, count: try reader.integer())
        case .putFile, .fileData, .fileEnd, .run, .kill, .powerOff, .prepare, .freeze, .resume, .input, .inputEnd:
            throw .wrongDirection(type)
        }
        if reader.count > 0 { throw .trailingBytes(type, reader.count) }
    }
}
