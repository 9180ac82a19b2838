// Reads HdrHistogram files with somebody else's code.
//   hdr.mjs hlog FILE    every line of an interval log, as JSON
//   hdr.mjs hgrm BASE64  the percentile distribution of a histogram in ns, in ms
import { readFileSync } from 'node:fs';
import * as hdr from 'hdr-histogram-js';

const [form, argument] = process.argv.slice(2);

if (form === 'hlog') {
  const reader = new hdr.HistogramLogReader(readFileSync(argument, 'utf8'));
  const lines = [];
  for (;;) {
    const histogram = reader.nextIntervalHistogram();
    if (histogram === null) break;
    lines.push({
      tag: histogram.tag,
      start_ms: histogram.startTimeStampMsec,
      end_ms: histogram.endTimeStampMsec,
      count: histogram.totalCount,
      p50: histogram.getValueAtPercentile(50),
      p99: histogram.getValueAtPercentile(99),
      p999: histogram.getValueAtPercentile(99.9),
      max: histogram.maxValue,
    });
  }
  process.stdout.write(JSON.stringify(lines));
} else if (form === 'hgrm') {
  const histogram = hdr.decodeFromCompressedBase64(argument);
  process.stdout.write(JSON.stringify(histogram.outputPercentileDistribution(5, 1e6)));
} else {
  process.stderr.write('usage: hdr.mjs hlog FILE | hgrm BASE64\n');
  process.exitCode = 2;
}
