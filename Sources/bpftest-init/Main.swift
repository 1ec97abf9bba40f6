// SPDX-License-Identifier: Apache-2.0
internal import GuestInit

@main
struct Main {
    static func main() {
        GuestInit.run()
    }
}
