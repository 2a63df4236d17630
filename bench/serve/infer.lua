-- For wrk: posts the body in $BODY, whose first $HEADER bytes are JSON, and prints its figures as JSON.
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.headers["Inference-Header-Content-Length"] = os.getenv("HEADER")

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\nFIGURES {"requests": %d, "per_s": %f, "p50_us": %d, "p99_us": %d, "errors": %d}\n',
    summary.requests, summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
