package server
const killFolder, killDatabase, killURL = "WARD_TEST_KILL_FOLDER", "WARD_TEST_KILL_DATABASE", "WARD_TEST_KILL_URL"
func serveUntilKilled(dir, database, url string) int { return 1 }
