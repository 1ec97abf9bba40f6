// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// Serves the control port: files in, jobs run, answers out.
final class Server {
    private let ports: Ports
    private let signals: OwnedFD
    private var encoder = FrameEncoder()
    private var expected: UInt32 = 0
    private var session: UInt64 = 0
    /// The payload of the frame that is being handled; reused.
    private var frame = [UInt8](repeating: 0, count: FrameHeader.maximumPayload)
    private var upload: Upload?
    private var job: RunningJob?
    /// Programs that wait for their job, and the one that has not said yet that it is ready.
    private var prepared: [PreparedProgram] = []
    private var preparing: PreparedProgram?
    /// The program of `job`, where it had been prepared: it may be ready for another one when it has done this one.
    private var serving: PreparedProgram?
    /// Frozen, or about to be.
    private var frozen: Resumed?

    init(ports: Ports) throws {
        self.ports = ports
        signals = try ChildSignals.open()
    }

    func greet(notes: [String]) throws {
        var clock = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &clock)
        var system = utsname()
        unsafe uname(&system)
        let release = unsafe withUnsafeBytes(of: &system.release) { raw in
            unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        try send(
            .hello(
                GuestMessage.Hello(
                    version: guestProtocolVersion, release: release,
                    uptimeNanoseconds: UInt64(clock.tv_sec) * 1_000_000_000 + UInt64(clock.tv_nsec), notes: notes)))
    }

    /// Returns when the host says powerOff or closes its end.
    func serve() throws {
        var poller = Poller()
        while true {
            poller.removeAll()
            poller.add(ports.control.raw, .read)
            poller.add(signals.raw, .read)
            poller.add(job?.output.descriptor ?? -1, .read)
            poller.add(job?.error.descriptor ?? -1, .read)
            poller.add(preparing?.descriptor ?? -1, .read)
            poller.add(job?.input?.descriptor ?? -1, .write)
            poller.add(serving?.descriptor ?? -1, .read)
            guard try poller.wait(nil) else { continue }
            if poller[2] != [] { try job?.moveOutput(to: ports.output, through: &frame) }
            if poller[3] != [] { try job?.error.move(to: ports.error, through: &frame) }
            if poller[5] != [], let job { try tell(job, taken: job.input?.flush() ?? 0) }
            job?.enforceLimit()
            if poller[1] != [] { try reap() }
            if poller[4] != [] { try finishPreparing() }
            if poller[6] != [] { try finishServing() }
            if poller[0] != [] {
                guard try receive() else { return }
            }
        }
    }

    private func tell(_ job: RunningJob, taken count: Int) throws {
        if count > 0 { try send(.inputTaken(id: job.id, count: UInt32(count))) }
    }

    private func send(_ message: GuestMessage) throws {
        try ports.control.writeAll(encoder.frame(message.type, payload: message.payload()))
    }

    // MARK: Frames

    /// Takes one frame off the control port and acts on it.
    ///
    /// - Returns: false at powerOff and at the end of the stream.
    private func receive() throws -> Bool {
        var head = [UInt8](repeating: 0, count: FrameHeader.size)
        guard try ports.control.readExactly(head.count, into: &head) == head.count else { return false }
        let header = try FrameHeader(decoding: head)
        if let frozen { return try thaw(header, frozen) }
        guard header.sequence == expected else {
            throw FrameError.outOfSequence(expected: expected, found: header.sequence)
        }
        guard header.session == session else {
            throw FrameError.foreignSession(expected: session, found: header.session)
        }
        expected &+= 1
        guard try ports.control.readExactly(header.length, into: &frame) == header.length else { return false }
        if header.type == .fileData {
            // The bulk of all traffic: goes to the file from where it lies.
            try storeData(header.length)
            return true
        }
        switch try HostMessage(type: header.type, payload: frame[..<header.length]) {
        case .putFile(let id, let path, let mode, let size):
            upload = nil
            do {
                upload = try Upload(id: id, path: path, mode: mode, size: size)
            } catch {
                try send(.refused(id: id, errno: UInt32(error.rawValue), reason: "\(path) cannot be created"))
            }
        case .fileData:
            break
        case .fileEnd(let id, let checksum):
            try finishUpload(id, checksum)
        case .run(let request):
            try start(request)
        case .kill(let id, let signal):
            if let job, job.id == id { kill(-job.pid, CInt(signal)) }
            if let preparing, preparing.job.id == id { kill(-preparing.job.pid, CInt(signal)) }
        case .prepare(let request):
            try prepare(request)
        case .freeze:
            try freeze()
        case .input(let id, let bytes):
            // A job that has just ended reads no more.
            if let job, job.id == id { try tell(job, taken: try job.input?.append(bytes) ?? bytes.count) }
        case .inputEnd(let id):
            if let job, job.id == id { job.input?.end() }
        case .resume:
            throw FrameError.badValue("resume of a guest that is not frozen")
        case .powerOff:
            return false
        }
        return true
    }

    // MARK: Freezing

    /// Comes to rest: after the answer the guest does nothing until the host speaks again.
    private func freeze() throws {
        guard job == nil, upload == nil, preparing == nil else {
            try send(.refused(id: 0, errno: UInt32(EBUSY), reason: "something is under way"))
            return
        }
        do {
            frozen = try Resumed()
        } catch {
            try send(.refused(id: 0, errno: UInt32(error.rawValue), reason: "/dev/urandom cannot be opened"))
            return
        }
        try send(.frozen)
    }

    /// Takes the first frame of a new life. It may come any number of times after one freeze, once in each machine
    /// that is made from it.
    private func thaw(_ header: FrameHeader, _ resumed: Resumed) throws -> Bool {
        guard header.type == .resume, header.sequence == 0 else {
            throw FrameError.badValue("a frozen guest takes nothing but a first frame that resumes it")
        }
        guard try ports.control.readExactly(header.length, into: &frame) == header.length else { return false }
        guard case .resume(let resumption) = try HostMessage(type: header.type, payload: frame[..<header.length]),
            resumption.session == header.session, resumption.session != session
        else { throw FrameError.foreignSession(expected: header.session, found: session) }
        frozen = nil
        session = resumption.session
        expected = 1
        encoder.begin(session: session)
        if let problem = resumed.set(resumption) { try send(.log(problem)) }
        return true
    }

    // MARK: Files

    private func storeData(_ length: Int) throws {
        guard length >= 4 else { throw FrameError.truncated }
        var reader = ByteReader(frame[..<4])
        let id: UInt32 = try reader.integer()
        // After a refusal the rest of the file is still under way: it is dropped.
        guard let upload, upload.id == id else { return }
        do {
            unsafe try frame.withUnsafeBufferPointer { (raw) throws(Errno) in
                unsafe try upload.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(raw)[4..<length]))
            }
        } catch {
            self.upload = nil
            try send(.refused(id: id, errno: UInt32(error.rawValue), reason: "\(upload.path) cannot be written"))
        }
    }

    private func finishUpload(_ id: UInt32, _ checksum: UInt64) throws {
        guard let done = upload, done.id == id else { return }
        upload = nil
        switch done.finish(checksum) {
        case nil: try send(.fileStored(id: id))
        case let problem?: try send(.refused(id: id, errno: 0, reason: "\(done.path): \(problem)"))
        }
    }

    // MARK: Jobs

    private func start(_ request: Job) throws {
        guard job == nil else {
            try send(.refused(id: request.id, errno: UInt32(EBUSY), reason: "another job is running"))
            return
        }
        do {
            let started = try startedProgram(request)
            job = started
            try send(.started(id: request.id, pid: UInt32(started.pid)))
        } catch let error as SpawnError {
            try send(.refused(id: request.id, errno: UInt32(error.cause.rawValue), reason: "\(error)"))
        } catch let error as Errno {
            try send(.refused(id: request.id, errno: UInt32(error.rawValue), reason: "no pipes for the job"))
        }
    }

    /// The program prepared for the job, where there is one, else a new one.
    private func startedProgram(_ request: Job) throws -> RunningJob {
        guard let index = prepared.firstIndex(where: { $0.fits(request) }) else { return try RunningJob(request) }
        let ready = prepared.remove(at: index)
        try ready.start(request)
        serving = ready
        return ready.job
    }

    private func prepare(_ request: Job) throws {
        guard job == nil, preparing == nil else {
            try send(.refused(id: request.id, errno: UInt32(EBUSY), reason: "something else is under way"))
            return
        }
        do {
            preparing = try PreparedProgram(request)
        } catch let error as SpawnError {
            try send(.refused(id: request.id, errno: UInt32(error.cause.rawValue), reason: "\(error)"))
        } catch let error as Errno {
            try send(.refused(id: request.id, errno: UInt32(error.rawValue), reason: "no pipes for the program"))
        }
    }

    private func finishPreparing() throws {
        guard let program = preparing else { return }
        preparing = nil
        if program.saysReady() {
            prepared.append(program)
            try send(.prepared(id: program.job.id))
        } else {
            kill(-program.job.pid, SIGKILL)
            try send(
                .refused(
                    id: program.job.id, errno: 0, reason: "the program ended and did not say that it is ready"))
        }
    }

    /// The job's program is ready for another one, or gone.
    private func finishServing() throws {
        guard let program = serving else { return }
        serving = nil
        // That it is gone says its signal.
        guard program.saysReady(), let done = job else { return }
        guard let end = try done.settle(output: ports.output, error: ports.error, buffer: &frame) else { return }
        job = nil
        prepared.append(program)
        endStrays()
        GracePeriods.pass()
        try send(.exited(end))
    }

    /// Kills what jobs have left running in sessions of their own: programs that wait for a job stay.
    private func endStrays() {
        let kept = Set(prepared.map(\.job.pid))
        for name in Ports.directory("/proc") {
            guard let pid = pid_t(name), pid != getpid() else { continue }
            // Threads of the kernel are in none.
            let session = getsid(pid)
            if session > 0, session != getsid(0), !kept.contains(session) { kill(pid, SIGKILL) }
        }
    }

    /// Collects ended children: as PID 1 also those that lost their parents.
    private func reap() throws {
        ChildSignals.drain(signals)
        while true {
            var status: CInt = 0
            var usage = rusage()
            let pid = unsafe wait4(-1, &status, WNOHANG, &usage)
            guard pid > 0 else { return }
            prepared.removeAll { $0.job.pid == pid }
            if pid == job?.pid { try finishJob(status, usage) }
        }
    }

    private func finishJob(_ status: CInt, _ usage: rusage) throws {
        // Whatever the job left running would hold the pipes, and is no part of the next job's world.
        kill(-1, SIGKILL)
        guard let ended = job else { return }
        job = nil
        serving = nil
        GracePeriods.pass()
        try send(.exited(try ended.finish(status, usage, output: ports.output, error: ports.error, buffer: &frame)))
    }
}
