// SPDX-License-Identifier: Apache-2.0
internal import CArchive
internal import LinuxIO
internal import SystemPackage

/// What all archives are compressed with.
enum Zstd {
    /// Equal bytes up to 128 MiB apart are written once: an agent in the guest image and beside it. What `zstd -d` takes
    /// without being asked is no more than that.
    static let windowLog: CInt = 27
    static let level: CInt = 9

    static func message(_ code: Int) -> String {
        unsafe String(cString: ZSTD_getErrorName(code))
    }

    static func isError(_ code: Int) -> Bool { ZSTD_isError(code) != 0 }
}

/// Compresses into a file, in one thread and with fixed settings: the same bytes in give the same bytes out.
@safe final class ZstdWriter {
    private let context: OpaquePointer
    private let file: CInt
    private let name: String
    private var room: [UInt8]

    /// - Parameter file: must stay open as long as this is used.
    init(file: CInt, name: String) throws(ArchiveError) {
        guard let context = unsafe ZSTD_createCCtx() else { throw .system(name, .noMemory) }
        unsafe self.context = unsafe context
        self.file = file
        self.name = name
        room = [UInt8](repeating: 0, count: ZSTD_CStreamOutSize())
        for (parameter, value) in [
            (ZSTD_c_compressionLevel, Zstd.level), (ZSTD_c_windowLog, Zstd.windowLog),
            (ZSTD_c_enableLongDistanceMatching, 1), (ZSTD_c_checksumFlag, 1),
        ] {
            let code = unsafe ZSTD_CCtx_setParameter(context, parameter, value)
            if Zstd.isError(code) { throw .refused("\(name): libzstd: \(Zstd.message(code))") }
        }
    }

    deinit {
        unsafe ZSTD_freeCCtx(context)
    }

    func write(_ bytes: [UInt8]) throws(ArchiveError) {
        try push(bytes, ZSTD_e_continue)
    }

    func finish() throws(ArchiveError) {
        try push([], ZSTD_e_end)
    }

    private func push(_ bytes: [UInt8], _ how: ZSTD_EndDirective) throws(ArchiveError) {
        var position = 0
        while true {
            var produced = 0
            let left = unsafe bytes.withUnsafeBytes { raw in
                unsafe room.withUnsafeMutableBytes { room in
                    var input = unsafe ZSTD_inBuffer(src: raw.baseAddress, size: raw.count, pos: position)
                    var output = unsafe ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
                    let left = unsafe ZSTD_compressStream2(context, &output, &input, how)
                    position = unsafe input.pos
                    produced = unsafe output.pos
                    return left
                }
            }
            if Zstd.isError(left) { throw .refused("\(name): libzstd: \(Zstd.message(left))") }
            try FileBytes.write(room[..<produced], to: file, name)
            if how == ZSTD_e_continue ? position == bytes.count : left == 0 { return }
        }
    }
}

/// Decompresses a file, piece by piece: never more is made of it than is asked for.
@safe final class ZstdReader {
    private let context: OpaquePointer
    private let file: CInt
    private let name: String
    private let size: Int
    private var input: [UInt8]
    /// Bytes of the file in front of what is in `input`.
    private var passed = 0
    private var inputEnd = 0
    private var inputPosition = 0
    private var isAtEnd = false
    private var frameIsOver = false

    /// - Parameters:
    ///   - file: must stay open as long as this is used; it is read from its beginning.
    ///   - size: the file's.
    init(file: CInt, name: String, size: Int) throws(ArchiveError) {
        guard let context = unsafe ZSTD_createDCtx() else { throw .system(name, .noMemory) }
        unsafe self.context = unsafe context
        self.file = file
        self.name = name
        self.size = size
        input = [UInt8](repeating: 0, count: ZSTD_DStreamInSize())
        let code = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Zstd.windowLog)
        if Zstd.isError(code) { throw .refused("\(name): libzstd: \(Zstd.message(code))") }
        try FileBytes.rewind(file, name)
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
    }

    /// Fills a buffer.
    ///
    /// - Returns: bytes that came: fewer than asked for at the stream's end alone.
    func read(into buffer: inout [UInt8], count: Int) throws(ArchiveError) -> Int {
        var done = 0
        while done < count {
            if frameIsOver { return done }
            if inputPosition == inputEnd, !isAtEnd {
                passed += inputEnd
                inputEnd = try FileBytes.read(file, into: &input, name)
                inputPosition = 0
                isAtEnd = inputEnd == 0
            }
            var made = 0
            let before = inputPosition
            let left = unsafe input.withUnsafeBytes { raw in
                unsafe buffer.withUnsafeMutableBytes { room in
                    var input = unsafe ZSTD_inBuffer(src: raw.baseAddress, size: inputEnd, pos: inputPosition)
                    var output = unsafe ZSTD_outBuffer(dst: room.baseAddress, size: count, pos: done)
                    let left = unsafe ZSTD_decompressStream(context, &output, &input)
                    inputPosition = unsafe input.pos
                    made = unsafe output.pos - done
                    return left
                }
            }
            if Zstd.isError(left) { throw .refused("\(name) is damaged: \(Zstd.message(left))") }
            done += made
            if left == 0 { frameIsOver = true }
            if made == 0, left != 0, isAtEnd, before == inputPosition {
                throw .refused("\(name) is cut off: it ends in the middle of the compressed data")
            }
        }
        return done
    }

    /// States that nothing comes any more, compressed or not.
    func expectEnd() throws(ArchiveError) {
        var more: [UInt8] = [0]
        guard try read(into: &more, count: 1) == 0, passed + inputPosition == size else {
            throw .refused("\(name) goes on behind its end")
        }
    }
}
