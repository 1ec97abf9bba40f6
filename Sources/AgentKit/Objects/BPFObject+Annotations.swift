// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

extension BPFObject {
    /// What an object's annotations say that the verifier must say of a program; nothing is loaded.
    ///
    /// - Returns: what is expected of the log, in order.
    static func expectedMessages(_ name: String, program: String) throws(LoadError) -> [ExpectedText] {
        let path = name.hasPrefix("/") ? name : directory + "/" + name
        func problem(_ errno: Errno, _ messages: String) -> LoadError {
            LoadError(path: path, step: "read the annotations of", errno: errno, log: "", messages: messages)
        }
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try readFile(path, limit: 16 << 20)
        } catch {
            throw problem(error, "")
        }
        let object: AnnotatedObject
        do throws(FileProblem) {
            object = try AnnotatedObject(name: name, folder: "", bytes: bytes, expectsRefusal: false)
        } catch {
            throw problem(.badMessage, "\(error)")
        }
        guard let found = object.programs.first(where: { $0.place.name == program }) else {
            throw problem(.noSuchFileOrDirectory, "no program \(program)")
        }
        do throws(Annotation.Problem) {
            return try found.specification.get().privileged.messages
        } catch {
            throw problem(.invalidArgument, error.text)
        }
    }
}
