/* How training ends, from drawn networks: failure.py, learnability.py and forecast.py in short. */

"use strict";

const Forecast = (() => {
  const PAPER_TIME = 10.8;
  const ENOUGH = 1e4;
  const EVEN_EXCESS = 267;
  const LOG_NO_GAIN = 2 * Math.log(2 ** -23);
  const SLOW_BELOW = -0.5;
  const MOST = 0.5;

  /** The learnability that networks need to learn in this time. */
  function slowBelow(time) {
    return SLOW_BELOW - Math.log10(time / PAPER_TIME);
  }

  /** Of networks that `Law.drawNetwork` has drawn: the probability that training fails in this
      time, its standard error from the number of networks, and the share that is dead. */
  function failure(networks, time) {
    const gains = networks.map(({ largest }) => Math.exp(Math.min(largest, Math.log(ENOUGH))));
    const mean = average(gains), even = EVEN_EXCESS * PAPER_TIME / time;
    const deviation = Math.sqrt(average(gains.map(gain => (gain - mean) ** 2)));
    const error = deviation / Math.sqrt(gains.length);
    return {
      probability: (mean - 1) / (mean - 1 + even),
      error: error * even / (mean - 1 + even) ** 2,
      deadShare: average(networks.map(({ whole }) => whole < LOG_NO_GAIN)),
    };
  }

  function average(values) {
    return values.reduce((sum, value) => sum + Number(value), 0) / values.length;
  }

  /** "dead", "explodes", "learns slowly" or "trains". */
  function outcome({ probability, deadShare }, learnability, time) {
    if (deadShare > MOST) return "dead";
    if (probability > MOST) return "explodes";
    return learnability < slowBelow(time) ? "learns slowly" : "trains";
  }

  return {
    PAPER_TIME, ENOUGH, EVEN_EXCESS, LOG_NO_GAIN, SLOW_BELOW, MOST, slowBelow, failure, outcome,
  };
})();
