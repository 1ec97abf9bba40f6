// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// What `bpftest init` writes.
public enum MatrixTemplates {
    /// A configuration for a project of BPF objects.
    ///
    /// - Parameter objects: where they are; a pattern that fits most projects where none were found.
    public static func config(objects: [String]) -> String {
        """
        # bpftest matrix: what runs on which kernels. docs/matrix.md of bpftest has every key.
        kernels = ["5.10", "6.1", "6.12"]
        objects = [\(objects.map { "\"\($0)\"" }.joined(separator: ", "))]
        baseline = "bpftest-baseline.json"

        """
    }

    /// Where a project's objects are: the folder of the first one found, or a pattern to be changed.
    public static func objects(in folder: String) -> [String] {
        guard let all = FileManager.default.enumerator(atPath: folder) else { return ["*.bpf.o"] }
        var seen = 0
        while let name = all.nextObject() as? String, seen < 20_000 {
            seen += 1
            guard name.hasSuffix(".bpf.o") else { continue }
            let parent = FilePath(name).removingLastComponent().string
            return [parent.isEmpty ? "*.bpf.o" : "\(parent)/*.bpf.o"]
        }
        return ["*.bpf.o"]
    }

    /// A workflow whose jobs are computed from the configuration.
    ///
    /// - Parameter shards: machines at once.
    public static func workflow(shards: Int) -> String {
        """
        name: bpftest
        on: [push, pull_request]
        permissions:
          contents: read
        jobs:
          plan:
            runs-on: ubuntu-latest
            outputs:
              matrix: ${{ steps.plan.outputs.matrix }}
            steps:
              - uses: actions/checkout@v4
              # bpftest and QEMU must be there, here and in the jobs below: an image that has them, or steps of yours.
              - id: plan
                run: echo "matrix=$(bpftest matrix --plan json --shards \(shards))" >> "$GITHUB_OUTPUT"
          test:
            needs: plan
            runs-on: ubuntu-latest
            strategy:
              fail-fast: false
              matrix:
                include: ${{ fromJSON(needs.plan.outputs.matrix).include }}
            steps:
              - uses: actions/checkout@v4
              - run: bpftest matrix --shard '${{ matrix.shard }}' --json results.jsonl
              - if: always()
                uses: actions/upload-artifact@v4
                with:
                  name: results-${{ strategy.job-index }}
                  path: results.jsonl
          report:
            needs: test
            if: always()
            runs-on: ubuntu-latest
            steps:
              - uses: actions/checkout@v4
              - uses: actions/download-artifact@v4
                with:
                  path: results
              - run: bpftest report --merge --partial results/*/results.jsonl --format html -o report.html
              - uses: actions/upload-artifact@v4
                with:
                  name: report
                  path: report.html

        """
    }

    /// Writes a file that is not there yet.
    ///
    /// - Throws: `.usage` if it is: what somebody wrote is not overwritten.
    public static func write(_ text: String, to path: FilePath) throws(HarnessError) {
        let folder = path.removingLastComponent()
        do {
            if !folder.isEmpty {
                try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
            }
            try Data(text.utf8).write(to: URL(fileURLWithPath: path.string), options: .withoutOverwriting)
        } catch let error as CocoaError where error.code == .fileWriteFileExists {
            throw .usage("\(path) is there already: it is left as it is")
        } catch {
            throw .infrastructure("\(path) cannot be written: \(Folders.reason(error))")
        }
    }
}
